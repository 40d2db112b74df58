//! Leaves tools out of the answer to `tools/list`, every other byte as the server sent it.

use serde_json::value::RawValue;

use super::members::Members;

/// A message with a list of tools, without those that `keep` does not want; each name is shown to `keep` once. Nothing where
/// the message has no list of tools, or keeps all of it.
pub fn filtered(message: &[u8], mut keep: impl FnMut(&str) -> bool) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(message).ok()?;
    let result = Members::of(text.trim())?.get("result")?;
    let members = Members::of(result.get())?;
    // A parser behind us may take the last of several, or one in other letters: each is filtered.
    let lists = members.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case("tools")).map(|(_, value)| *value);
    let mut out = Vec::new();
    let mut copied = 0;
    for list in lists {
        let Ok(tools) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else { continue };
        let kept: Vec<&str> = tools.iter().filter(|tool| wanted(tool, &mut keep)).map(|tool| tool.get()).collect();
        if kept.len() == tools.len() {
            continue;
        }
        let begin = offset_in(text, list.get());
        out.extend_from_slice(&text.as_bytes()[copied..begin]);
        out.push(b'[');
        out.extend_from_slice(kept.join(",").as_bytes());
        out.push(b']');
        copied = begin + list.get().len();
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&text.as_bytes()[copied..]);
    Some(out)
}

/// Whether a tool has one name, and that one is wanted. What has none cannot be called.
fn wanted(tool: &RawValue, keep: &mut impl FnMut(&str) -> bool) -> bool {
    let Some(members) = Members::of(tool.get()) else { return false };
    members.ambiguous(&["name"]).is_none() && members.text("name").is_some_and(|name| keep(&name))
}

/// Where `part`, borrowed from `whole`, starts in it.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Option<String> {
        filtered(text.as_bytes(), |name| name == "good").map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_wanted_tools_stay_and_all_else_as_it_was() {
        let list = r#"{"jsonrpc":"2.0", "id":1,"result":{"tools": [{"name":"bad"}, {"name":"good","x":1.0e2},{"name":"b"}],"nextCursor":"c" }}"#;
        let kept = r#"{"jsonrpc":"2.0", "id":1,"result":{"tools": [{"name":"good","x":1.0e2}],"nextCursor":"c" }}"#;
        assert_eq!(filter(list).as_deref(), Some(kept));
        assert_eq!(filter(kept), None);
        assert_eq!(filter(r#"{"id":1,"result":{"content":[]}}"#), None);
    }

    #[test]
    fn no_spelling_smuggles_a_tool_past() {
        for result in [
            r#"{"tools":[],"tools":[{"name":"bad"}]}"#,
            r#"{"Tools":[{"name":"bad"}]}"#,
            r#"{"tools":[{"name":"good","name":"bad"}]}"#,
            r#"{"tools":[{"name":"good","Name":"bad"}]}"#,
            r#"{"tools":[7]}"#,
        ] {
            let kept = filter(&format!(r#"{{"id":1,"result":{result}}}"#)).expect("something is left out");
            assert!(!kept.contains("bad") && !kept.contains('7'), "{kept}");
        }
    }
}
