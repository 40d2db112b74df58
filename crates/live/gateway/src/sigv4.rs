//! AWS Signature Version 4: checks the signatures of clients that sign with a Freehold key, and signs what is sent to providers
//! with an identity of Amazon's. The signature that a request should have is made by AWS's own library.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningInstructions, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use domain::UnixMs;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use http::request::Parts;
use subtle::ConstantTimeEq;

use crate::keys::KeyRefusal;
use crate::refusal::Refusal;

/// How far the time of a signature may be from ours, milliseconds: as AWS has it.
const SKEW_MS: i64 = 15 * 60 * 1000;

const ALGORITHM: &str = "AWS4-HMAC-SHA256 ";

/// What a client's signature claims.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose key it is said to be: the public half of a Freehold key.
    pub access_key_id: String,
    region: String,
    service: String,
    signed_headers: Vec<String>,
    signature: String,
    at: UnixMs,
}

impl Claim {
    /// The claim of a request that is signed; `None` for one that is not.
    /// `query` is one that may hold a key.
    pub fn read(headers: &HeaderMap, query: Option<&str>, now: UnixMs) -> Result<Option<Claim>, Refusal> {
        let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
        let Some(fields) = value.to_str().ok().and_then(|text| text.strip_prefix(ALGORITHM)) else { return Ok(None) };
        // A second credential beside a signature would be believed by somebody else.
        let others = ["x-api-key", "x-goog-api-key"].into_iter().any(|name| headers.contains_key(name));
        let asked = query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("key=")));
        if others || asked || headers.get_all(AUTHORIZATION).iter().count() > 1 {
            return Err(Refusal::CredentialsConflict);
        }
        let claim = Claim::parse(fields, headers).ok_or(Refusal::CredentialUnreadable)?;
        if claim.at.0.abs_diff(now.0) > SKEW_MS.unsigned_abs() {
            return Err(Refusal::Key(KeyRefusal::Stale));
        }
        Ok(Some(claim))
    }

    fn parse(fields: &str, headers: &HeaderMap) -> Option<Claim> {
        let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        let mut scope = field("Credential")?.split('/');
        let (access_key_id, day, region, service) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        let date = headers.get("x-amz-date")?.to_str().ok()?;
        // The day of the scope is a part of what is signed with, and must be that of the time.
        let whole = scope.next()? == "aws4_request" && scope.next().is_none() && date.starts_with(day);
        let signed_headers = field("SignedHeaders")?.split(';').map(str::to_owned).collect::<Vec<_>>();
        let claim = Claim {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers,
            signature: field("Signature")?.to_owned(),
            at: time(date)?,
        };
        whole.then_some(claim)
    }

    /// Checks the signature over the request as it came, with the secret that its key is signed with.
    pub fn verify(&self, head: &Parts, body: &[u8], secret: &str) -> Result<(), Refusal> {
        let refused = || Refusal::Key(KeyRefusal::Unknown);
        let mut signed = Vec::with_capacity(self.signed_headers.len());
        for name in &self.signed_headers {
            // What the proxy before us added is not signed, but what is signed must be there, once.
            let mut values = head.headers.get_all(name.as_str()).iter();
            let value = values.next().and_then(|value| value.to_str().ok()).filter(|_| values.next().is_none());
            signed.push((name.as_str(), value.ok_or_else(refused)?));
        }
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or_else(refused)?;
        if !signed.iter().any(|(name, _)| *name == "host") {
            return Err(refused());
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let scope = Scope { region: &self.region, service: &self.service, at: self.at };
        let credentials = Credentials::new(&self.access_key_id, secret, None, None, "client");
        let method = head.method.as_str();
        let ours = signature(&credentials, &scope, method, &format!("http://{host}{path}"), &signed, body)
            .ok_or_else(refused)?;
        match bool::from(ours.as_bytes().ct_eq(self.signature.as_bytes())) {
            true => Ok(()),
            false => Err(refused()),
        }
    }
}

/// Where and when a signature is good.
pub(crate) struct Scope<'a> {
    /// The region, `eu-central-1`.
    pub region: &'a str,
    /// The service as signatures name it, `bedrock`.
    pub service: &'a str,
    /// The time.
    pub at: UnixMs,
}

/// Signs a request of ours: `x-amz-date`, `x-amz-security-token` and `authorization` are added. Signed are the host, the content
/// type, those and the body; what a proxy may add or change is not. `None` where it cannot be signed at all.
pub(crate) fn sign_request<B>(
    request: &mut Request<B>,
    body: &[u8],
    credentials: &Credentials,
    scope: &Scope<'_>,
) -> Option<()> {
    let uri = request.uri().to_string();
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let headers = content_type.map(|value| ("content-type", value)).into_iter();
    let signable = SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(body)).ok()?;
    let (instructions, _) = signed(signable, credentials, scope)?;
    instructions.apply_to_request_http1x(request);
    Some(())
}

/// The signature of a request. `None` where it cannot be signed at all.
fn signature(
    credentials: &Credentials,
    scope: &Scope<'_>,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<String> {
    let request = SignableRequest::new(method, uri, headers.iter().copied(), SignableBody::Bytes(body)).ok()?;
    signed(request, credentials, scope).map(|(_, signature)| signature)
}

/// The instructions by which a request gets its signature, and that.
fn signed(
    request: SignableRequest<'_>,
    credentials: &Credentials,
    scope: &Scope<'_>,
) -> Option<(SigningInstructions, String)> {
    let identity = credentials.clone().into();
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(scope.at.0).ok()?);
    let params = SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    Some(sign(request, &params).ok()?.into_parts())
}

/// The time of `20261125T040920Z`.
pub(crate) fn time(text: &str) -> Option<UnixMs> {
    let (day, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str, range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    if day.len() != 8 || clock.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (year, month, date) = (number(day, 0..4)?, number(day, 4..6)?, number(day, 6..8)?);
    let (hours, minutes, seconds) = (number(clock, 0..2)?, number(clock, 2..4)?, number(clock, 4..6)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&date) {
        return None;
    }
    // Days since 1970 by the civil calendar, with years that begin in March (Hinnant, "chrono-compatible date algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year.div_euclid(400), (month + 9) % 12);
    let of_era = year.rem_euclid(400);
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + date - 1 - 719_468;
    Some(UnixMs((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What botocore 1.44.8 signs for this request with this secret at this time.
    const AUTHORIZATION_OF_BOTOCORE: &str = "AWS4-HMAC-SHA256 Credential=k1/20261125/eu-central-1/bedrock/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, Signature=d5cc82de79cf5152861d5ef68393eb5df621aa2a9eab93a56459ce991d106e03";
    const AT: UnixMs = UnixMs(1_795_579_760_000);

    fn request(path: &str, authorization: &str) -> Parts {
        let request = http::Request::post(path)
            .header("host", "127.0.0.1:7400")
            .header("content-type", "application/json")
            .header("x-amz-date", "20261125T040920Z")
            .header("authorization", authorization);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_signature_of_botocores_is_right_for_what_it_signed_and_nothing_else() {
        let path = "/model/model%3Aa/converse";
        let head = request(path, AUTHORIZATION_OF_BOTOCORE);
        let claim = Claim::read(&head.headers, None, AT).unwrap().unwrap();
        assert_eq!((claim.access_key_id.as_str(), claim.at), ("k1", AT));
        assert!(claim.verify(&head, b"{}", "s3cret").is_ok());
        assert!(claim.verify(&head, b"{ }", "s3cret").is_err(), "another body");
        assert!(claim.verify(&head, b"{}", "s3creT").is_err(), "another secret");
        let elsewhere = request("/model/model%3Ab/converse", AUTHORIZATION_OF_BOTOCORE);
        assert!(claim.verify(&elsewhere, b"{}", "s3cret").is_err(), "another path");
    }

    /// What botocore 1.44.8 signs for the service `bedrock` in eu-central-1 at [`AT`], by tests/real/sign.py.
    const SIGNED_BY_BOTOCORE: &[(&str, Option<&str>, &str, &str)] = &[
        (
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/anthropic.claude-3%3A0/converse",
            None,
            "{\"a\":1}",
            "50a2724a924a6f728e65145044eed15d24b13663729a20ea9e1b9ba66659c233",
        ),
        (
            "https://bedrock-runtime.eu-central-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aprofile%2Fx/converse-stream",
            Some("SESSION/+="),
            "{\"ü\":\"é\"}",
            "69c55cc4aadad32d861fc62d8e2e74d4aa5025ba36cbae394df6981724340dcd",
        ),
        (
            "http://127.0.0.1:8080/openai/v1/chat/completions?api-version=1",
            Some("T"),
            "",
            "18520b68d4cc10d2d128cdb1c99f56225cd7cb8f478e1137003525d61ce989fd",
        ),
        (
            "http://127.0.0.1:8080/anthropic/v1/messages",
            None,
            "{}",
            "f3277f98eebf794cd5fa23764c635792e3308fb58a18e64d37717348bcb4aebe",
        ),
    ];

    #[test]
    fn what_is_sent_to_amazon_is_signed_as_botocore_signs_it() {
        for (url, session, body, signature) in SIGNED_BY_BOTOCORE {
            let mut request = Request::post(*url).header("content-type", "application/json").body(()).unwrap();
            let keys = Credentials::new("AKIDEXAMPLE", "s3cret/+=", session.map(str::to_owned), None, "test");
            let scope = Scope { region: "eu-central-1", service: "bedrock", at: AT };
            sign_request(&mut request, body.as_bytes(), &keys, &scope).unwrap();
            let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("x-amz-date"), Some("20261125T040920Z"));
            assert_eq!(header("x-amz-security-token"), *session);
            let (_, ours) = header("authorization").unwrap().split_once("Signature=").unwrap();
            assert_eq!(ours, *signature, "{url}");
        }
    }

    #[test]
    fn a_claim_that_is_old_broken_or_beside_another_credential_is_refused() {
        let head = request("/", AUTHORIZATION_OF_BOTOCORE);
        let late = Claim::read(&head.headers, None, UnixMs(AT.0 + SKEW_MS + 1));
        assert!(matches!(late, Err(Refusal::Key(KeyRefusal::Stale))));
        let mut both = head.headers.clone();
        both.insert("x-api-key", "fh_a_b".parse().unwrap());
        assert!(matches!(Claim::read(&both, None, AT), Err(Refusal::CredentialsConflict)));
        let asked = Claim::read(&head.headers, Some("alt=sse&key=fh_a_b"), AT);
        assert!(matches!(asked, Err(Refusal::CredentialsConflict)), "a key in the query");
        assert!(matches!(Claim::read(&head.headers, Some("alt=sse"), AT), Ok(Some(_))));
        for broken in [
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256 Credential=a/20261124/r/s/aws4_request, SignedHeaders=host, Signature=x",
        ] {
            let head = request("/", broken);
            assert!(matches!(Claim::read(&head.headers, None, AT), Err(Refusal::CredentialUnreadable)), "{broken}");
        }
        assert!(matches!(Claim::read(&request("/", "Bearer x").headers, None, AT), Ok(None)));
    }
}
