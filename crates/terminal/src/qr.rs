//! QR codes on a terminal.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// A code as lines of half blocks, with the quiet zone that scanners want; dark modules are dark on a
/// terminal with a dark ground as well. `None`: the text is too long for one.
pub(crate) fn lines(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let mut render = code.render::<Dense1x2>();
    Some(render.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_a_number_fit_a_code_and_a_novel_does_not() {
        assert!(lines(&"1".repeat(60)).is_some_and(|code| code.lines().count() < 25));
        assert!(lines(&"x".repeat(600)).is_some());
        assert!(lines(&"x".repeat(3_000)).is_none());
    }
}
