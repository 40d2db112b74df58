//! Sessions belong to the key that opened them: the identifier a client gets is the server's own, sealed for this key and
//! this server, so that nothing has to be remembered and nothing grows.

use domain::KeyId;
use subtle::ConstantTimeEq;

/// Longest identifier looked at, bytes.
const LONGEST: usize = 1_024;
/// Hex digits of the seal.
const SEAL: usize = 32;

/// The identifier as the client gets it. Nothing where the server's own is none: MCP asks for visible ASCII.
pub fn seal(pepper: &[u8; 32], server: &str, key: &KeyId, session: &str) -> Option<String> {
    let is_one = (1..=LONGEST).contains(&session.len()) && session.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then(|| format!("{session}.{}", mark(pepper, server, key, session)))
}

/// The server's own identifier, where the client's was sealed for this key and server.
pub fn open<'s>(pepper: &[u8; 32], server: &str, key: &KeyId, sealed: &'s str) -> Option<&'s str> {
    let (session, seal) = sealed.rsplit_once('.').filter(|_| sealed.len() <= LONGEST + SEAL + 1)?;
    let expected = mark(pepper, server, key, session);
    bool::from(expected.as_bytes().ct_eq(seal.as_bytes())).then_some(session)
}

fn mark(pepper: &[u8; 32], server: &str, key: &KeyId, session: &str) -> String {
    let mut hasher = blake3::Hasher::new_keyed(pepper);
    hasher.update(b"freehold mcp session\0");
    // The lengths keep one part from running into the next.
    for part in [server, &key.0, session] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..SEAL].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_opens_for_its_key_and_server_only() {
        let (pepper, key) = ([7; 32], KeyId("k".into()));
        let sealed = seal(&pepper, "crm", &key, "a.b-c").unwrap();
        assert_eq!(open(&pepper, "crm", &key, &sealed), Some("a.b-c"));
        assert_eq!(open(&pepper, "crm", &KeyId("other".into()), &sealed), None);
        assert_eq!(open(&pepper, "files", &key, &sealed), None);
        assert_eq!(open(&[8; 32], "crm", &key, &sealed), None);
        for changed in ["", "a.b-c", "a.b-c.", &sealed[1..], &format!("{sealed}0"), &sealed.to_uppercase()] {
            assert_eq!(open(&pepper, "crm", &key, changed), None, "{changed}");
        }
        assert_eq!(seal(&pepper, "crm", &key, "with space"), None);
        assert_eq!(seal(&pepper, "crm", &key, &"x".repeat(LONGEST + 1)), None);
    }
}
