//! The X25519 points that turn every shared secret into zeros (RFC 7748, section 6.1).

/// The points of order 1, 2, 4 and 8, in every encoding below 2^255.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Bytes of hexadecimal digits.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

/// Each of them, also with the top bit set, which X25519 ignores.
pub(crate) fn low_order() -> impl Iterator<Item = [u8; 32]> {
    LOW_ORDER.iter().flat_map(|text| {
        let point: [u8; 32] = hex(text).try_into().unwrap();
        let mut ignored_bit = point;
        ignored_bit[31] |= 0x80;
        [point, ignored_bit]
    })
}
