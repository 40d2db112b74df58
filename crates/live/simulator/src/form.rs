//! Reads a form (`multipart/form-data`, RFC 7578) as the JSON that would say the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The boundary that a `content-type` names, where it is a form's.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| Some(parameter.trim().strip_prefix("boundary=")?.trim_matches('"')))
}

/// A form's fields. A file is its name and its bytes in base64; `name[]` is a list; a number or a truth value is one.
pub fn read(boundary: &str, body: &[u8]) -> Result<Value, String> {
    let (opening, delimiter) = (format!("--{boundary}"), format!("\r\n--{boundary}"));
    let mut rest = body.strip_prefix(opening.as_bytes()).ok_or("the form does not begin with its boundary")?;
    let mut fields = Map::new();
    while !rest.starts_with(b"--") {
        let part = rest.strip_prefix(b"\r\n").ok_or("a boundary is not followed by a line end")?;
        let end = find(part, delimiter.as_bytes()).ok_or("the form has no last boundary")?;
        rest = &part[end + delimiter.len()..];
        let part = &part[..end];
        let split = find(part, b"\r\n\r\n").ok_or("a part has no empty line behind its head")?;
        let head = String::from_utf8_lossy(&part[..split]);
        let (name, value) = field(&head, &part[split + 4..])?;
        match name.strip_suffix("[]") {
            Some(list) => match fields.entry(list).or_insert_with(|| json!([])) {
                Value::Array(items) => items.push(value),
                _ => return Err(format!("`{list}` is a list and is none")),
            },
            None => {
                fields.insert(name, value);
            }
        }
    }
    Ok(Value::Object(fields))
}

fn field(head: &str, content: &[u8]) -> Result<(String, Value), String> {
    let disposition = head
        .split("\r\n")
        .find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))
        .ok_or("a part has no content-disposition")?;
    let parameter = |name: &str| {
        let given = disposition.split(';').find_map(|given| given.trim().strip_prefix(name)?.strip_prefix('='));
        given.map(|value| value.trim_matches('"').to_owned())
    };
    let name = parameter("name").ok_or("a part has no name")?;
    if let Some(filename) = parameter("filename") {
        return Ok((name, json!({"type": "file", "filename": filename, "content": STANDARD.encode(content)})));
    }
    let text = std::str::from_utf8(content).map_err(|_| format!("`{name}` is not UTF-8"))?;
    let plain = serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean());
    Ok((name, plain.unwrap_or_else(|| text.into())))
}

/// The bytes of a file; absent where the field is none.
pub fn file(field: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(field["content"].as_str()?).ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_what_json_would() {
        assert_eq!(boundary("multipart/form-data; boundary=\"x y\""), Some("x y"));
        assert_eq!(boundary("application/json; boundary=x"), None);
        let form = b"--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n2\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
                     --b\r\ncontent-disposition: form-data; name=\"image[]\"; filename=\"a\"\r\nContent-Type: image/png\r\n\r\n\0\r\n\r\n--b--\r\n";
        let read = read("b", form).unwrap();
        assert_eq!((&read["n"], &read["model"], &read["image"][0]["filename"]), (&json!(2), &json!("m"), &json!("a")));
        assert_eq!(file(&read["image"][0]), Some(b"\0\r\n".to_vec()));
        assert!(super::read("b", b"--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n2").is_err());
    }
}
