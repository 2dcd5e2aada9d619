use crate::link::Refusal;
use std::collections::HashSet;

#[test]
fn every_refusal_has_its_own_code_and_is_found_by_it() {
    let codes: HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), Refusal::ALL.len());
    for refusal in Refusal::ALL {
        assert!((4000..5000).contains(&refusal.code()));
        assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
    }
}

#[test]
fn codes_that_are_not_ours_mean_nothing() {
    for code in [0, 1000, 1006, 3999, 4000 + Refusal::ALL.len() as u16, u16::MAX] {
        assert_eq!(Refusal::from_code(code), None);
    }
}

#[test]
fn every_text_fits_into_a_close_frame() {
    for refusal in Refusal::ALL {
        assert!((1..=123).contains(&refusal.text().len()));
    }
}
