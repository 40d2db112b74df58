//! Keys, admin tokens and sessions, with two processes on one store.

use control::keys::{self, KeyWatch, NewKey};
use control::{ControlError, Pepper, sessions};
use domain::{KeyId, UnixMs};
use std::sync::atomic::Ordering;
use store::Store;

use crate::support::{Desk, House, NOON};

fn wish() -> NewKey {
    NewKey { label: "billing robot".into(), workflows: Some(vec!["claims-triage".into()]), ..NewKey::default() }
}

#[tokio::test]
async fn a_running_server_notices_what_a_command_beside_it_does() {
    let house = House::new().await;
    let (mut watch, keys) = KeyWatch::start(house.store.clone()).await.unwrap();
    assert!(keys.borrow().is_empty() && !watch.look().await.unwrap());

    let command = Store::open(&house.data.database()).await.unwrap();
    let (grant, text) = keys::create(&command, &house.pepper(), wish(), "command line", NOON).await.unwrap();
    assert!(watch.look().await.unwrap());
    assert_eq!(*keys.borrow(), std::slice::from_ref(&grant));
    let secret = text.rsplit('_').next().unwrap();
    assert_eq!(grant.hash, house.pepper().hash(secret));
    assert_eq!(text, format!("fh_{}_{secret}", grant.id));

    keys::revoke(&command, &grant.id, "command line", NOON + 5).await.unwrap();
    assert!(watch.look().await.unwrap());
    assert_eq!(keys.borrow()[0].revoked_at, Some(NOON + 5));
    assert!(!watch.look().await.unwrap());
    let unknown = keys::revoke(&command, &KeyId("zz".into()), "command line", NOON).await;
    assert!(matches!(unknown, Err(ControlError::NotFound(_))));
    let audit: Vec<String> = house.store.audit_lines(9).await.unwrap().into_iter().map(|line| line.what).collect();
    assert_eq!(audit, ["key.revoke", "key.create"]);
}

#[tokio::test]
async fn the_secret_of_a_key_is_nowhere_in_the_files() {
    let house = House::new().await;
    let (_, text) = keys::create(&house.store, &house.pepper(), wish(), "test", NOON).await.unwrap();
    let secret = text.rsplit('_').next().unwrap().as_bytes();
    house.store.make_durable().await.unwrap();
    for entry in std::fs::read_dir(house.data.root()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

#[tokio::test]
async fn a_key_that_could_do_nothing_or_harm_is_refused_with_the_reason() {
    let house = House::new().await;
    for wrong in [
        NewKey { label: " ".into(), ..wish() },
        NewKey { label: "a\nb".into(), ..wish() },
        NewKey { workflows: Some(Vec::new()), ..wish() },
        NewKey { budgets: vec!["0 USD per day".into()], ..wish() },
        NewKey { budgets: vec!["1 USD per fortnight".into()], ..wish() },
        NewKey { requests_per_minute: Some(0), ..wish() },
        NewKey { expires_at: Some(NOON), ..wish() },
    ] {
        let refused = keys::create(&house.store, &house.pepper(), wrong.clone(), "test", NOON).await;
        assert!(matches!(refused, Err(ControlError::Refused(_))), "{wrong:?}");
    }
    assert!(serde_json::from_str::<NewKey>(r#"{"label":"x","role":"admin"}"#).is_err());
    let desk = Desk::at(NOON);
    let unknown = NewKey { workflows: Some(vec!["no-such".into()]), ..wish() };
    assert!(matches!(house.control(&desk).create_key(unknown, "t").await, Err(ControlError::Refused(_))));
}

#[tokio::test]
async fn a_login_lasts_a_working_day_or_until_logout_or_revocation() {
    let house = House::new().await;
    let desk = Desk::at(NOON);
    let control = house.control(&desk);
    let (token, text) =
        sessions::create_admin_token(&house.store, &house.pepper(), "first", "test", NOON).await.unwrap();
    assert_eq!(control.admin(&text).await.unwrap(), Some(token.id.clone()));

    let login = control.login(&text, "10.0.0.1").await.unwrap();
    let session = control.session(&login.cookie).await.unwrap().unwrap();
    assert_eq!((&session.who, session.expires_at), (&token.id, NOON + sessions::SESSION_MS));
    assert!(session.csrf_matches(&login.csrf) && !session.csrf_matches("") && login.csrf != login.cookie);
    assert_eq!(control.session("nonsense").await.unwrap(), None);

    // Another process with the same data folder knows the session too; one with another pepper does not.
    let other = Store::open(&house.data.database()).await.unwrap();
    let again = control::Control::new(other.clone(), house.pepper(), desk.clone());
    assert!(again.session(&login.cookie).await.is_ok());
    let stranger = control::Control::new(other, Pepper::new([1; 32]), desk.clone());
    assert_eq!(stranger.session(&login.cookie).await.unwrap(), None);

    control.logout(&login.cookie).await.unwrap();
    assert_eq!(control.session(&login.cookie).await.unwrap(), None);

    let login = control.login(&text, "10.0.0.1").await.unwrap();
    desk.now.fetch_add(sessions::SESSION_MS as i64, Ordering::Relaxed);
    assert_eq!(control.session(&login.cookie).await.unwrap(), None);

    let login = control.login(&text, "10.0.0.1").await.unwrap();
    house.store.revoke_admin_token(&token.id, UnixMs(0)).await.unwrap();
    assert_eq!(control.session(&login.cookie).await.unwrap(), None);
    assert!(matches!(control.login(&text, "10.0.0.1").await, Err(ControlError::WrongToken)));
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let house = House::new().await;
    let control = house.control(&Desk::at(NOON));
    let (_, text) = sessions::create_admin_token(&house.store, &house.pepper(), "first", "test", NOON).await.unwrap();
    for wrong in ["", "fha_", "fh_ab_cd", "fha_ab_cd", &format!("{text}x")] {
        assert!(matches!(control.login(wrong, "10.0.0.9").await, Err(ControlError::WrongToken)), "{wrong}");
    }
    assert!(matches!(control.login(&text, "10.0.0.9").await, Err(ControlError::TooManyLogins { .. })));
    assert!(control.login(&text, "10.0.0.1").await.is_ok());
}
