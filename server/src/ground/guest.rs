//! Ids of players who are not authenticated.

use driftless_proto::names::GUEST;

/// Digits and lower-case letters, without those that are mistaken for others (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 80 bits: nobody guesses an id, and no two guests get the same one.
const CHARACTERS: usize = 16;

/// A new id: `guest-` and 16 random characters.
pub fn guest_id() -> Result<String, getrandom::Error> {
    let mut random = [0; CHARACTERS];
    getrandom::fill(&mut random)?;
    let random = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(GUEST.chars().chain(random).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_readable_and_never_the_same() {
        let ids: std::collections::HashSet<_> = (0..1_000).map(|_| guest_id().unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
        for id in &ids {
            let random = id.strip_prefix("guest-").unwrap();
            assert!(random.len() == 16 && random.bytes().all(|b| ALPHABET.contains(&b)), "{id}");
        }
    }
}
