//! A keeper and whoever gives it tokens, over a socket: a token that its provider refuses is thrown away once it is old enough to be
//! at fault.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use super::*;
use crate::pool::Way;

/// Gives another token each time, good for an hour.
fn giver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            // The whole request comes at once: it has no body.
            let _ = stream.read(&mut [0; 4096]);
            let token = format!(r#"{{"access_token":"token-{number}","expires_in":3600,"token_type":"Bearer"}}"#);
            let length = token.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{token}");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn bearer(token: &Token) -> String {
    match token.credential() {
        Credential::Bearer(value) => value.to_str().unwrap().to_owned(),
        Credential::Aws(_) => panic!("a bearer token was expected"),
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_thrown_away_unless_it_is_new() {
    let lines = format!(
        "base_url = \"http://127.0.0.1:1\"\nidentity = {{ from = \"google-metadata\", endpoint = \"http://{}\" }}",
        giver()
    );
    let snapshot = crate::deployed::tests::snapshot(&lines);
    let provider = &snapshot.providers[0];
    let tls = Way::new(&config::Server::default()).unwrap().tls();
    let keeper = Keeper::start(&provider.name, provider.identity.as_ref().unwrap(), &tls, None);
    let first = keeper.token().await.unwrap();
    assert_eq!(bearer(&first), "Bearer token-0");
    // Another one would be refused as well: what is missing is the permission.
    keeper.refused(&first);
    assert_eq!(bearer(&keeper.token().await.unwrap()), "Bearer token-0");

    let old = clock::now() - (TRUSTED_MS + 1);
    let first = Arc::new(Token::new(Credential::Bearer(first_value(&first)), old, first.expires_at()));
    keeper.state.lock().token = Some(first.clone());
    keeper.refused(&first);
    let second = keeper.token().await.unwrap();
    assert_eq!(bearer(&second), "Bearer token-1");
    // Who comes late with the old one throws nothing away.
    keeper.refused(&first);
    assert_eq!(bearer(&keeper.token().await.unwrap()), "Bearer token-1");
}

fn first_value(token: &Token) -> http::HeaderValue {
    http::HeaderValue::try_from(bearer(token)).unwrap()
}
