//! Tokens of Microsoft Entra: OAuth's client credentials with a secret or an assertion, or the metadata service of a virtual
//! machine.

use config::identity::{Entra, EntraSource};
use http::Method;

use super::fetch::{self, Ask, Fetch, Trouble};
use super::token::Token;
use crate::clock;

/// How an assertion of another platform is declared (RFC 7523, section 2.2).
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The form of the metadata service's answers (Azure Instance Metadata Service, managed identities).
const METADATA_VERSION: &str = "2018-02-01";
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn token(fetch: &Fetch, entra: &Entra) -> Result<Token, Trouble> {
    match &entra.source {
        EntraSource::ClientSecret { authority, tenant, client_id, secret, .. } => {
            let proof = [("client_secret", secret.expose())];
            application(fetch, authority, tenant, client_id, &entra.scope, &proof).await
        }
        EntraSource::WorkloadIdentity { authority, tenant, client_id, token_file } => {
            let assertion = fetch::token_file(token_file).await?;
            let proof = [("client_assertion_type", ASSERTION), ("client_assertion", assertion.as_str())];
            application(fetch, authority, tenant, client_id, &entra.scope, &proof).await
        }
        EntraSource::ManagedIdentity { url, client_id } => {
            // The metadata service names the resource, not the scope.
            let resource = entra.scope.strip_suffix("/.default").unwrap_or(&entra.scope);
            let mut fields = vec![("api-version", METADATA_VERSION), ("resource", resource)];
            fields.extend(client_id.as_deref().map(|id| ("client_id", id)));
            let ask = Ask {
                method: Method::GET,
                base: url,
                rest: &format!("/metadata/identity/oauth2/token?{}", fetch::form(&fields)),
                headers: &[("metadata", "true")],
                body: None,
                secrets: &[],
            };
            read(&fetch.send(ask).await?, "the metadata service")
        }
    }
}

async fn application(
    fetch: &Fetch,
    authority: &config::BaseUrl,
    tenant: &str,
    client_id: &str,
    scope: &str,
    proof: &[(&str, &str)],
) -> Result<Token, Trouble> {
    let mut fields = vec![("grant_type", "client_credentials"), ("client_id", client_id), ("scope", scope)];
    fields.extend_from_slice(proof);
    let secrets: Vec<&str> = proof.iter().filter(|(_, value)| *value != ASSERTION).map(|(_, value)| *value).collect();
    let ask = Ask {
        method: Method::POST,
        base: authority,
        rest: &format!("/{tenant}/oauth2/v2.0/token"),
        headers: &[],
        body: Some((FORM, fetch::form(&fields))),
        secrets: &secrets,
    };
    read(&fetch.send(ask).await?, "Entra")
}

fn read(body: &[u8], whose: &str) -> Result<Token, Trouble> {
    let answer = fetch::json(body, whose)?;
    let expires_in = fetch::seconds(&answer, "expires_in", whose)?;
    Token::bearer(fetch::text(&answer, "access_token", whose)?, clock::now(), expires_in)
}
