//! Words that are planted to see where they turn up, in every shape that a program may give them.

/// What is looked for: each word as UTF-8, as UTF-16 of both orders, in hexadecimal and in base64.
#[derive(Debug, Default)]
pub struct Canaries {
    /// What is said of a find, and the bytes.
    shapes: Vec<(String, Vec<u8>)>,
}

impl Canaries {
    /// Plants a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        let little = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        self.add(text, "UTF-16, little end first", little);
        self.add(text, "UTF-16, big end first", big);
        self.bytes(text, text.as_bytes())
    }

    /// Plants bytes: a key, for example. `name` is what a find is called.
    #[must_use]
    pub fn bytes(mut self, name: &str, bytes: &[u8]) -> Self {
        self.add(name, "itself", bytes.to_vec());
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(name, "hexadecimal", hex.to_uppercase().into_bytes());
        self.add(name, "hexadecimal", hex.into_bytes());
        for skipped in 0..3 {
            // Inside a longer text it begins at any of three places, and what surrounds it shows in
            // the first and in the last characters.
            let whole = (bytes.len() - skipped) / 3 * 3;
            let inner = &bytes[skipped..skipped + whole];
            self.add(name, "base64", base64(inner, *b"+/"));
            self.add(name, "base64 for URLs", base64(inner, *b"-_"));
        }
        self
    }

    fn add(&mut self, name: &str, shape: &str, bytes: Vec<u8>) {
        assert!(bytes.len() >= 8, "{name} is too short to be told from chance");
        self.shapes.push((format!("{name} as {shape}"), bytes));
    }

    /// The first one that stands somewhere in these bytes.
    #[must_use]
    pub fn found_in(&self, bytes: &[u8]) -> Option<&str> {
        // Most places are passed over by their first two bytes.
        let mut starts = vec![false; 1 << 16];
        let start = |bytes: &[u8]| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        self.shapes.iter().for_each(|(_, shape)| starts[start(shape)] = true);
        for (at, pair) in bytes.windows(2).enumerate() {
            if starts[start(pair)] {
                let here = |(_, shape): &&(String, Vec<u8>)| bytes[at..].starts_with(shape);
                if let Some((what, _)) = self.shapes.iter().find(here) {
                    return Some(what);
                }
            }
        }
        None
    }

    /// Fails the test where one stands in these bytes.
    #[track_caller]
    pub fn must_not_be_in(&self, place: &str, bytes: &[u8]) {
        if let Some(what) = self.found_in(bytes) {
            panic!("{place} holds {what}");
        }
    }
}

fn base64(bytes: &[u8], last: [u8; 2]) -> Vec<u8> {
    let mut alphabet = Vec::from_iter((b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9'));
    alphabet.extend(last);
    let digits = |part: &[u8]| {
        let number = part.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| alphabet[(number >> shift) & 63])
    };
    bytes.chunks_exact(3).flat_map(digits).collect()
}

/// All memory of another process that can be read, as whoever owns its machine can; each part is
/// given to `look` with its line in the process's map.
#[cfg(target_os = "linux")]
pub fn memory_of(process: u32, mut look: impl FnMut(&str, &[u8])) {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with('r')) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        // The system's own pages lie beyond what a file's offset can name.
        let (Ok(_), size) = (i64::try_from(number(to)), number(to) - number(from)) else {
            continue;
        };
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        // Some regions are the kernel's own and cannot be read.
        if memory.read_exact_at(&mut bytes, number(from)).is_ok() {
            look(line, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_every_shape_and_a_changed_one_in_none() {
        let canaries = Canaries::default().text("canary-5d1e9b").bytes("a key", &[0xfb; 32]);
        let hidden = |bytes: &[u8]| [b"some text ", bytes, b" and more"].concat();
        for (shape, form) in [
            ("itself", b"canary-5d1e9b".to_vec()),
            ("UTF-16", "canary-5d1e9b".encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("UTF-16", "canary-5d1e9b".encode_utf16().flat_map(u16::to_be_bytes).collect()),
            ("hexadecimal", b"63616e6172792d356431653962".to_vec()),
            ("base64", b"Y2FuYXJ5LTVkMWU5Yg==".to_vec()),
            // Behind one byte, and behind two.
            ("base64", b"eGNhbmFyeS01ZDFlOWI=".to_vec()),
            ("base64", b"eHljYW5hcnktNWQxZTli".to_vec()),
        ] {
            let found = canaries.found_in(&hidden(&form));
            assert!(found.is_some_and(|found| found.contains(shape)), "{shape}: {found:?}");
        }
        for (shape, form) in [("base64", "+/v7+/v7".repeat(5)), ("URLs", "-_v7-_v7".repeat(5))] {
            let found = canaries.found_in(&hidden(form.as_bytes()));
            assert!(found.is_some_and(|found| found.contains(shape)), "{shape}: {found:?}");
        }
        assert_eq!(canaries.found_in(&hidden(b"canary-5d1e9c")), None);
        assert_eq!(canaries.found_in(b""), None);
    }
}
