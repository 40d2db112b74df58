//! Providers that take tokens and signatures: whoever gives them expires them, fails, and is never seen in what Freehold shows.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::harness::{Site, eventually, openssl, run, text};

/// A server that answers each request as a function says: status and body. It keeps what it got.
struct Server {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
}

#[derive(Clone, Debug)]
struct Got {
    line: String,
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }
}

impl Server {
    fn answering(answer: impl Fn(&Got) -> (u16, String) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (record, answer) = (got.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (record, answer) = (record.clone(), answer.clone());
                std::thread::spawn(move || one(stream, &record, &*answer));
            }
        });
        Server { address, got }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

fn one(stream: TcpStream, record: &Mutex<Vec<Got>>, answer: &dyn Fn(&Got) -> (u16, String)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut head) = (String::new(), String::new());
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    loop {
        let mut next = String::new();
        reader.read_line(&mut next).ok()?;
        if next.trim().is_empty() {
            break;
        }
        head.push_str(&next);
    }
    let mut got = Got { line: line.trim().to_owned(), head, body: String::new() };
    let mut body = vec![0; got.header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    got.body = String::from_utf8(body).unwrap();
    let (status, text) = answer(&got);
    record.lock().unwrap().push(got);
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    reader.get_mut().write_all(format!("{head}{text}").as_bytes()).ok()
}

const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#;

fn configuration(provider: &str, spare: SocketAddr) -> String {
    format!(
        r#"
[providers.cloud]
dialect = "openai-chat"
{provider}

[providers.spare]
dialect = "openai-chat"
base_url = "http://{spare}/v1"

[models.cloud]
provider = "cloud"
model = "m"
price = {{ input = "1", output = "1" }}
quality = "0.9"

[models.spare]
provider = "spare"
model = "m"
price = {{ input = "1", output = "1" }}
quality = "0.1"

[lanes.all]
class = "A"
models = ["cloud", "spare"]
pick = "best"

[criticality.high]
lanes = ["all"]

[workflows.w]
criticality = "high"
"#
    )
}

/// Everything a person can see of a running instance.
fn seen(freehold: &crate::harness::Freehold, site: &Site) -> String {
    let mut all = freehold.metrics();
    for path in ["/api/v1/overview", "/api/v1/lanes", "/api/v1/configuration"] {
        all.push_str(&freehold.admin(path).to_string());
    }
    all.push_str(&run(&["check", &text(&site.file())]).1);
    all.push_str(&run(&["provider", "list", "--json", "--config", &text(&site.file())]).1);
    for row in freehold.ledger() {
        all.push_str(&row.to_string());
    }
    all
}

#[test]
fn a_token_is_renewed_while_calls_go_on_and_none_is_sent_after_its_end() {
    let count = Arc::new(AtomicU32::new(0));
    let issued = count.clone();
    let entra = Server::answering(move |_| {
        let number = issued.fetch_add(1, Ordering::SeqCst);
        (200, format!(r#"{{"token_type":"Bearer","expires_in":2,"access_token":"s3cret-token-{number}"}}"#))
    });
    let cloud = Server::answering(|_| (200, ANSWER.to_owned()));
    let site = Site::new("identity-renewed", "");
    let secret = site.scratch.path().join("client-secret");
    std::fs::write(&secret, "s3cret of the application").unwrap();
    site.configure(&configuration(
        &format!(
            "base_url = \"http://{}/openai\"\nquirks = \"azure-deployments\"\nquery = {{ api-version = \"2024-10-21\" }}\n\
             identity = {{ from = \"entra-client-secret\", tenant = \"t\", client_id = \"c\", endpoint = \"http://{}\", \
             client_secret = {{ file = \"{}\" }} }}",
            cloud.address,
            entra.address,
            text(&secret)
        ),
        cloud.address,
    ));
    let freehold = site.start();
    // Three tokens of two seconds: traffic goes on over two ends.
    eventually("a third token is in use", || {
        let answer = freehold.chat("w", "");
        assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("cloud")), "{}", answer.text());
        cloud.got().iter().any(|got| got.header("authorization") == Some("Bearer s3cret-token-2")).then_some(())
    });
    let asked = entra.got();
    assert_eq!(asked[0].line, "POST /t/oauth2/v2.0/token HTTP/1.1");
    for field in [
        "grant_type=client_credentials",
        "client_id=c",
        "client_secret=s3cret%20of%20the%20application",
        "scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default",
    ] {
        assert!(asked[0].body.contains(field), "{field} in {}", asked[0].body);
    }
    let calls = cloud.got();
    assert_eq!(calls[0].line, "POST /openai/deployments/m/chat/completions?api-version=2024-10-21 HTTP/1.1");
    let tokens: BTreeSet<_> = calls.iter().filter_map(|got| got.header("authorization")).collect();
    // One fetch at a time: no more tokens than were used, but for one that is being fetched ahead.
    assert!(count.load(Ordering::SeqCst) as usize <= tokens.len() + 1, "{tokens:?}");
    let seen = seen(&freehold, &site);
    assert!(!seen.contains("s3cret"), "{seen}");
    assert!(seen.contains("freehold_provider_token{provider=\"cloud\"} 1"), "{seen}");
}

#[test]
fn while_no_token_can_be_had_calls_go_elsewhere_and_the_reason_is_told() {
    let up = Arc::new(AtomicU32::new(0));
    let state = up.clone();
    let google = Server::answering(move |_| match state.load(Ordering::SeqCst) {
        0 => (503, r#"{"error":"backend","error_description":"try later"}"#.to_owned()),
        1 => (400, r#"{"error":"invalid_grant","error_description":"no such account"}"#.to_owned()),
        _ => (200, r#"{"access_token":"s3cret-token","expires_in":3600,"token_type":"Bearer"}"#.to_owned()),
    });
    let cloud = Server::answering(|_| (200, ANSWER.to_owned()));
    let spare = Server::answering(|_| (200, ANSWER.to_owned()));
    let provider = format!(
        "base_url = \"http://{}/v1\"\nidentity = {{ from = \"google-metadata\", endpoint = \"http://{}\" }}",
        cloud.address, google.address
    );
    let site = Site::new("identity-down", &configuration(&provider, spare.address));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("spare")), "{}", answer.text());
    assert!(cloud.got().is_empty(), "nothing is sent without a token");
    assert_eq!(google.got()[0].line, "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1");
    assert_eq!(google.got()[0].header("metadata-flavor"), Some("Google"));
    let alarms = freehold.admin("/api/v1/overview")["alarms"].to_string();
    assert!(alarms.contains("no token from google-metadata: 127.0.0.1 answered 503 (backend: try later)"), "{alarms}");
    let lanes = freehold.admin("/api/v1/lanes").to_string();
    assert!(lanes.contains("token_unavailable"), "{lanes}");
    let booked = eventually("the attempts are booked", || Some(freehold.ledger()).filter(|rows| rows.len() >= 2));
    let failed = booked.iter().find(|row| row["model"] == "cloud").unwrap();
    assert_eq!((&failed["end"], &failed["amount"]), (&"failed".into(), &"0.000000000".into()), "{failed}");
    assert!(freehold.metrics().contains("freehold_provider_token{provider=\"cloud\"} 0"));
    // A refusal is ours to mend, and said as such.
    up.store(1, Ordering::SeqCst);
    eventually("the refusal is told", || {
        let alarms = freehold.admin("/api/v1/overview")["alarms"].to_string();
        alarms.contains("was refused a token: 127.0.0.1 answered 400 (invalid_grant: no such account)").then_some(())
    });
    // It is there again: the background finds out without a call.
    up.store(2, Ordering::SeqCst);
    eventually("the token is there again", || {
        freehold.metrics().contains("freehold_provider_token{provider=\"cloud\"} 1").then_some(())
    });
}

#[test]
fn keys_of_a_role_are_taken_with_the_platforms_token_and_sign_each_call() {
    let sts = Server::answering(|got| {
        assert!(got.body.contains("WebIdentityToken=platform-token"), "{}", got.body);
        let keys = "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>AKIDROLE</AccessKeyId>\
                    <SecretAccessKey>s3cretKEY/+=</SecretAccessKey><SessionToken>s3cretSESSION</SessionToken>\
                    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>";
        (200, keys.to_owned())
    });
    let cloud = Server::answering(|_| (200, ANSWER.to_owned()));
    let site = Site::new("identity-aws", "");
    let token = site.scratch.path().join("token");
    std::fs::write(&token, "platform-token\n").unwrap();
    site.configure(&configuration(
        &format!(
            "base_url = \"http://{}/openai/v1\"\nidentity = {{ from = \"aws-web-identity\", region = \"eu-central-1\", \
             role_arn = \"arn:aws:iam::1:role/f\", token_file = \"{}\", endpoint = \"http://{}\" }}",
            cloud.address,
            text(&token),
            sts.address
        ),
        cloud.address,
    ));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("cloud")), "{}", answer.text());
    let got = cloud.got().pop().unwrap();
    assert_eq!(got.header("x-amz-security-token"), Some("s3cretSESSION"));
    let authorization = got.header("authorization").unwrap();
    let date = got.header("x-amz-date").unwrap();
    let start = format!("AWS4-HMAC-SHA256 Credential=AKIDROLE/{}/eu-central-1/bedrock/aws4_request, ", &date[..8]);
    assert!(authorization.starts_with(&start), "{authorization}");
    for name in ["content-type", "host", "x-amz-date", "x-amz-security-token"] {
        assert!(authorization.split("Signature").next().unwrap().contains(name), "{name} in {authorization}");
    }
    let seen = seen(&freehold, &site);
    assert!(!seen.contains("s3cret") && !seen.contains("platform-token"), "{seen}");
}

/// The signature that AWS would expect of a request, computed by other hands than ours (Signature Version 4, as its documentation has
/// it).
const SIGNATURE: &str = r#"
import hashlib, hmac, re, sys
head, body, secret = sys.argv[1:]
line, *lines = head.split("\n")
headers = {name.strip().lower(): value.strip() for name, _, value in (text.partition(":") for text in lines) if name}
scope, names = re.search(r"Credential=[^/]+/([^,]+), SignedHeaders=([^,]+)", headers["authorization"]).groups()
canonical = "\n".join(["POST", "/", "", *(f"{name}:{headers[name]}" for name in names.split(";")), "", names,
                       hashlib.sha256(body.encode()).hexdigest()])
text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
key = ("AWS4" + secret).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
print(hmac.new(key, text.encode(), hashlib.sha256).hexdigest())
"#;

#[test]
fn a_profiles_role_is_taken_of_sts_with_the_keys_of_the_profile_before_it() {
    let sts = Server::answering(|got| {
        let role = if got.body.contains("role%2Fouter") { "OUTER" } else { "INNER" };
        let keys = format!(
            "<AssumeRoleResponse><Credentials><AccessKeyId>AKID{role}</AccessKeyId><SecretAccessKey>s3cret{role}</SecretAccessKey>\
             <SessionToken>s3cretSESSION{role}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
             </AssumeRoleResponse>"
        );
        (200, keys)
    });
    let cloud = Server::answering(|_| (200, ANSWER.to_owned()));
    let site = Site::new("identity-assume", "");
    let file = site.scratch.path().join("credentials");
    let profiles = "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s3cretBASE\n\
                    [inner]\nrole_arn = arn:aws:iam::1:role/inner\nsource_profile = base\nexternal_id = ext 7\n\
                    [outer]\nrole_arn = arn:aws:iam::2:role/outer\nsource_profile = inner\nrole_session_name = me\n";
    std::fs::write(&file, profiles).unwrap();
    site.configure(&configuration(
        &format!(
            "base_url = \"http://{}/openai/v1\"\nidentity = {{ from = \"aws-profile\", region = \"eu-central-1\", \
             profile = \"outer\", file = \"{}\", endpoint = \"http://{}\" }}",
            cloud.address,
            text(&file),
            sts.address
        ),
        cloud.address,
    ));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("cloud")), "{}", answer.text());
    let asked = sts.got();
    assert_eq!(asked.len(), 2, "the inner role first, and with its keys the outer one: {asked:?}");
    for (got, role, external, id, secret, session) in [
        (&asked[0], "iam%3A%3A1%3Arole%2Finner", true, "AKIDBASE", "s3cretBASE", None),
        (&asked[1], "iam%3A%3A2%3Arole%2Fouter", false, "AKIDINNER", "s3cretINNER", Some("s3cretSESSIONINNER")),
    ] {
        assert_eq!(got.line, "POST / HTTP/1.1");
        assert!(got.body.contains("Action=AssumeRole&") && got.body.contains(role), "{}", got.body);
        assert_eq!(got.body.contains("ExternalId=ext%207"), external, "{}", got.body);
        assert_eq!(got.header("x-amz-security-token"), session);
        let authorization = got.header("authorization").unwrap();
        assert!(authorization.contains(&format!("Credential={id}/")), "{authorization}");
        assert!(authorization.contains("/eu-central-1/sts/aws4_request"), "{authorization}");
        let head = format!("{}\n{}", got.line, got.head.replace("\r\n", "\n"));
        let output =
            std::process::Command::new("python3").args(["-c", SIGNATURE, &head, &got.body, secret]).output().unwrap();
        let expected = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            authorization.ends_with(&format!("Signature={}", expected.trim())),
            "{authorization}: {expected} {errors}"
        );
    }
    let got = cloud.got().pop().unwrap();
    assert!(got.header("authorization").unwrap().contains("Credential=AKIDOUTER/"), "{}", got.head);
    assert_eq!(got.header("x-amz-security-token"), Some("s3cretSESSIONOUTER"));
    assert!(!seen(&freehold, &site).contains("s3cret"));
}

#[test]
fn an_instances_keys_come_from_its_metadata_service_by_a_session() {
    let metadata = Server::answering(|got| {
        match got.line.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["PUT", "/latest/api/token"] if got.header("x-aws-ec2-metadata-token-ttl-seconds").is_some() => {
            (200, "s3cret-session".to_owned())
        }
        _ if got.header("x-aws-ec2-metadata-token") != Some("s3cret-session") => (401, String::new()),
        ["GET", "/latest/meta-data/iam/security-credentials/"] => (200, "freehold-role".to_owned()),
        ["GET", "/latest/meta-data/iam/security-credentials/freehold-role"] => (
            200,
            r#"{"Code":"Success","AccessKeyId":"AKIDIMDS","SecretAccessKey":"s3cretKEY","Token":"s3cretTOKEN","Expiration":"2099-01-01T00:00:00Z"}"#.to_owned(),
        ),
        _ => (404, String::new()),
    }
    });
    let cloud = Server::answering(|_| (200, ANSWER.to_owned()));
    let provider = format!(
        "base_url = \"http://{}/v1\"\nidentity = {{ from = \"aws-instance\", region = \"eu-west-1\", endpoint = \"http://{}\" }}",
        cloud.address, metadata.address
    );
    let site = Site::new("identity-instance", &configuration(&provider, cloud.address));
    let freehold = site.start();
    let answer = freehold.chat("w", "");
    assert_eq!((answer.status, answer.header("freehold-model")), (200, Some("cloud")), "{}", answer.text());
    let got = cloud.got().pop().unwrap();
    assert!(got.header("authorization").unwrap().contains("Credential=AKIDIMDS/"), "{}", got.head);
    assert!(!seen(&freehold, &site).contains("s3cret"));
}

#[test]
fn a_service_accounts_assertion_is_signed_as_openssl_checks_it_and_claude_on_vertex_is_called_with_the_token() {
    let google = Server::answering(|_| (200, r#"{"access_token":"s3cret-token","expires_in":3600}"#.to_owned()));
    let message = r#"{"id":"m","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"yes"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}"#;
    let cloud = Server::answering(move |_| (200, message.to_owned()));
    let site = Site::new("identity-google", "");
    let path = |name: &str| text(&site.scratch.path().join(name));
    let key =
        String::from_utf8(openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])).unwrap();
    std::fs::write(path("key.pem"), &key).unwrap();
    let account = serde_json::json!({
        "type": "service_account", "client_email": "f@p.iam.gserviceaccount.com", "private_key_id": "k1",
        "private_key": key, "token_uri": format!("http://{}/token", google.address)
    });
    std::fs::write(path("account.json"), account.to_string()).unwrap();
    let provider = format!(
        "catalog = \"anthropic\"\nbase_url = \"http://{}/v1/projects/p/locations/eu/publishers/anthropic\"\nquirks = \"vertex-anthropic\"\n\
         identity = {{ from = \"google-service-account\", file = \"{}\" }}",
        cloud.address,
        path("account.json")
    );
    let configuration = configuration(&provider, cloud.address).replacen("\"openai-chat\"", "\"anthropic\"", 1);
    site.configure(&configuration);
    let freehold = site.start();
    for path in ["/v1/messages", "/v1/chat/completions"] {
        let body = r#"{"model":"model:cloud","max_tokens":9,"messages":[{"role":"user","content":"Hello"}]}"#;
        let answer = freehold.post(path, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let got = cloud.got().pop().unwrap();
        assert_eq!(got.line, "POST /v1/projects/p/locations/eu/publishers/anthropic/models/m:rawPredict HTTP/1.1");
        assert_eq!(got.header("authorization"), Some("Bearer s3cret-token"));
        let sent: serde_json::Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!((&sent["anthropic_version"], sent.get("model")), (&"vertex-2023-10-16".into(), None), "{sent}");
    }
    let form = google.got()[0].body.clone();
    let assertion = form.split('&').find_map(|field| field.strip_prefix("assertion=")).unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    let decoded = |part: &str, file: &str| {
        let padded = part.replace('-', "+").replace('_', "/") + &"=".repeat((4 - part.len() % 4) % 4);
        std::fs::write(path("part"), padded).unwrap();
        openssl(&["base64", "-d", "-A", "-in", &path("part"), "-out", &path(file)]);
        std::fs::read(path(file)).unwrap()
    };
    let claims: serde_json::Value = serde_json::from_slice(&decoded(parts[1], "claims")).unwrap();
    assert_eq!(claims["iss"], "f@p.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], format!("http://{}/token", google.address));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let header: serde_json::Value = serde_json::from_slice(&decoded(parts[0], "header")).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&"RS256".into(), &"k1".into()));
    decoded(parts[2], "signature");
    std::fs::write(path("signed"), format!("{}.{}", parts[0], parts[1])).unwrap();
    openssl(&["pkey", "-in", &path("key.pem"), "-pubout", "-out", &path("public.pem")]);
    let (public, signature, signed) = (path("public.pem"), path("signature"), path("signed"));
    let checked = openssl(&["dgst", "-sha256", "-verify", &public, "-signature", &signature, &signed]);
    assert_eq!(String::from_utf8(checked).unwrap().trim(), "Verified OK");
    let seen = seen(&freehold, &site);
    assert!(!seen.contains("s3cret") && !seen.contains("PRIVATE KEY"), "{seen}");
}

#[test]
fn a_provider_is_tested_with_cheap_calls_that_are_booked_under_a_key_of_their_own() {
    let cloud = Server::answering(|got| match got.body.contains("\"tools\"") {
        true => (400, r#"{"error":{"message":"tools are not supported"}}"#.to_owned()),
        false if got.body.contains("\"stream\":true") => {
            (500, r#"{"error":{"message":"no streams today"}}"#.to_owned())
        }
        false => (200, ANSWER.to_owned()),
    });
    let site = Site::new("provider-test", "");
    let provider = format!("base_url = \"http://{}/v1\"\napi_key = {{ env = \"SIM_KEY\" }}", cloud.address);
    site.configure(&configuration(&provider, cloud.address));
    let (file, data) = (text(&site.file()), text(&site.data()));
    let (code, out) = run(&["provider", "test", "cloud", "--json", "--config", &file, "--data", &data]);
    assert_eq!(code, 1, "a stream that fails is a failure: {out}");
    let rows: Vec<serde_json::Value> = out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let works: Vec<_> = rows.iter().map(|row| (row["call"].as_str().unwrap(), row["works"] == true)).collect();
    assert_eq!(works, [("plain", true), ("streamed", false), ("tool", false)]);
    assert_eq!((&rows[0]["input_tokens"], &rows[0]["output_tokens"]), (&5.into(), &1.into()));
    assert_eq!(rows[0]["cost"], "0.000006 USD");
    assert!(rows[1]["why"].as_str().unwrap().contains("no streams today"), "{out}");
    assert!(!out.contains("sim-secret"));
    let booked = crate::harness::ledger(&site.data());
    assert!(booked.len() >= 3 && booked.iter().all(|row| row["key"] == "provider-test"), "{booked:?}");
    let left = std::fs::read_dir(site.data()).unwrap().flatten().filter(|entry| entry.path().is_dir());
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with("provider-test")));
    let (code, out) = run(&["provider", "list", "--config", &file]);
    assert_eq!(code, 0);
    assert!(out.contains("SIM_KEY is set") && out.contains("azure-anthropic") && !out.contains("sim-secret"), "{out}");
}
