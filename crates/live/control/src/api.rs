//! The admin API: the same values as the pages, as JSON under `/api/v1`, for whoever holds an admin token.
//!
//! Every route lies behind one door that asks for `Authorization: Bearer fha_…`; a path that is no route is asked too,
//! so that nobody learns without a token what there is. Cookies are not looked at, so no other site can make a browser
//! act.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use domain::{CallId, KeyId, UnixMs, WorkflowName};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::StoreError;
use tokio::sync::mpsc;

use crate::budgets::NewApproval;
use crate::control::Control;
use crate::failure::ControlError;
use crate::keys::NewKey;
use crate::ledger_export::{self, Format};
use crate::views::CallFilter;

/// Longest body taken: a key's description is far shorter.
const BODY_BYTES: usize = 64 << 10;
/// Pages of the ledger that wait for a slow reader.
const PAGES_AHEAD: usize = 2;

/// The routes. They can be merged with other ones that do not begin with `/api/v1`.
pub fn api(control: Control) -> Router {
    let routes = Router::new()
        .route("/overview", get(overview))
        .route("/workflows", get(workflows))
        .route("/workflows/{name}", get(workflow))
        .route("/lanes", get(lanes))
        .route("/lanes/{name}", get(lane))
        .route("/tools", get(tool_servers))
        .route("/instances", get(instances))
        .route("/budgets", get(budgets))
        .route("/budgets/approve", post(approve_budget))
        .route("/anomalies", get(anomalies))
        .route("/costs", get(hidden_costs))
        .route("/cache", get(cache).delete(purge_cache))
        .route("/concentration", get(concentration))
        .route("/calls", get(calls))
        .route("/calls/after", get(calls_after))
        .route("/calls/{id}", get(call))
        .route("/configuration", get(configuration))
        .route("/keys", get(keys).post(create_key))
        .route("/keys/{id}", delete(revoke_key))
        .route("/reload", post(reload))
        .route("/ledger", get(ledger))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(control.clone(), door))
        .with_state(control);
    Router::new().nest("/api/v1", routes)
}

/// Who is asking: the public half of an admin token.
#[derive(Clone)]
struct Admin(String);

/// An answer that is no success.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

type Answer = Result<Response, Refusal>;

async fn door(State(control): State<Control>, mut request: Request, next: Next) -> Answer {
    let token = bearer(request.headers())?;
    let admin = control.admin(token).await?.ok_or_else(unauthenticated)?;
    request.extensions_mut().insert(Admin(admin));
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => {
            let text = one.to_str().ok().and_then(|text| text.split_once(' '));
            let token = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
            token.ok_or_else(unauthenticated)
        }
        (None, _) => Err(unauthenticated()),
        (Some(_), Some(_)) => Err(bad_request("the request carries two credentials; send one".to_owned())),
    }
}

async fn overview(State(control): State<Control>) -> Answer {
    json_of(&control.overview().await?)
}

async fn workflows(State(control): State<Control>) -> Answer {
    json_of(&control.workflows().await?)
}

async fn workflow(State(control): State<Control>, Path(name): Path<String>) -> Answer {
    json_of(&control.workflow(&name).await?.ok_or_else(|| not_found("workflow", &name))?)
}

async fn anomalies(State(control): State<Control>) -> Answer {
    json_of(&control.anomalies())
}

async fn lanes(State(control): State<Control>) -> Answer {
    json_of(&control.lanes().await?)
}

#[derive(Deserialize)]
struct Days {
    days: Option<u32>,
}

/// As the page: of the last thirty days, unless `days` says otherwise.
async fn concentration(State(control): State<Control>, Query(Days { days }): Query<Days>) -> Answer {
    json_of(&control.concentration(days.unwrap_or(30)).await?)
}

async fn hidden_costs(State(control): State<Control>, Query(Days { days }): Query<Days>) -> Answer {
    json_of(&control.hidden_costs(days.unwrap_or(30)).await?)
}

async fn cache(State(control): State<Control>, Query(Days { days }): Query<Days>) -> Answer {
    json_of(&control.cache(days.unwrap_or(30)).await?)
}

/// Of which workflow; of every one where it names none.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct PurgeQuery {
    workflow: Option<String>,
}

async fn purge_cache(State(control): State<Control>, Extension(Admin(admin)): Extension<Admin>, uri: Uri) -> Answer {
    let PurgeQuery { workflow } = query(&uri)?;
    json_of(&json!({ "purged": control.purge_cache(workflow.as_deref(), &admin).await? }))
}

async fn tool_servers(State(control): State<Control>) -> Answer {
    json_of(&control.tool_servers().await?)
}

async fn instances(State(control): State<Control>) -> Answer {
    json_of(&control.instances().await?)
}

async fn lane(State(control): State<Control>, Path(name): Path<String>) -> Answer {
    json_of(&control.lane(&name).await?.ok_or_else(|| not_found("lane", &name))?)
}

async fn budgets(State(control): State<Control>) -> Answer {
    json_of(&control.budgets())
}

async fn approve_budget(
    State(control): State<Control>,
    Extension(Admin(admin)): Extension<Admin>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|rejection| bad_request(rejection.body_text()))?;
    let wish: NewApproval = serde_json::from_slice(&body).map_err(|error| bad_request(format!("the body: {error}")))?;
    let approved = control.approve_budget(&wish, &admin).await?;
    Ok((StatusCode::CREATED, json_of(&json!({ "approved": approved }))?).into_response())
}

/// Which calls; as [`CallFilter`], and unknown names are refused.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct CallsQuery {
    workflow: Option<String>,
    lane: Option<String>,
    model: Option<String>,
    key: Option<String>,
    outcome: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
    cursor: Option<u64>,
}

impl CallsQuery {
    fn filter(self) -> CallFilter {
        let CallsQuery { workflow, lane, model, key, outcome, before, limit, cursor: _ } = self;
        CallFilter { workflow, lane, model, key, outcome, before, limit }
    }
}

async fn calls(State(control): State<Control>, uri: Uri) -> Answer {
    let query: CallsQuery = query(&uri)?;
    json_of(&control.calls(&query.filter()).await?)
}

async fn calls_after(State(control): State<Control>, uri: Uri) -> Answer {
    let query: CallsQuery = query(&uri)?;
    let cursor = query.cursor;
    let (calls, cursor) = control.calls_after(cursor, &query.filter()).await?;
    json_of(&json!({ "calls": calls, "cursor": cursor }))
}

async fn call(State(control): State<Control>, Path(id): Path<String>) -> Answer {
    let id: CallId = id.parse().map_err(|error: domain::ids::BadId| bad_request(error.to_string()))?;
    json_of(&control.call(id).await?.ok_or_else(|| not_found("call", &id.to_string()))?)
}

async fn configuration(State(control): State<Control>) -> Answer {
    json_of(&control.configuration().await?)
}

/// Keys without anything of their hash.
async fn keys(State(control): State<Control>) -> Answer {
    let mut keys = serde_json::to_value(control.keys().await?).map_err(|error| internal(&error))?;
    for key in keys.as_array_mut().into_iter().flatten() {
        if let Some(grant) = key.get_mut("grant").and_then(serde_json::Value::as_object_mut) {
            grant.remove("hash");
        }
    }
    json_of(&keys)
}

/// What a key is to be; amounts in USD as text, so that no float comes near them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyWish {
    label: String,
    #[serde(default)]
    workflows: Option<Vec<WorkflowName>>,
    #[serde(default)]
    direct: bool,
    #[serde(default)]
    budget: Option<BudgetWish>,
    #[serde(default)]
    budgets: Vec<String>,
    #[serde(default)]
    requests_per_minute: Option<u32>,
    #[serde(default)]
    tokens_per_minute: Option<u64>,
    #[serde(default)]
    expires_at: Option<UnixMs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BudgetWish {
    limit_usd: String,
    per: String,
}

async fn create_key(
    State(control): State<Control>,
    Extension(Admin(admin)): Extension<Admin>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(|rejection| bad_request(rejection.body_text()))?;
    let wish: KeyWish = serde_json::from_slice(&body).map_err(|error| bad_request(format!("the body: {error}")))?;
    let mut budgets = wish.budgets;
    budgets.extend(wish.budget.map(|budget| format!("{} USD per {}", budget.limit_usd, budget.per)));
    let wish = NewKey {
        label: wish.label,
        workflows: wish.workflows,
        direct: wish.direct,
        budgets,
        requests_per_minute: wish.requests_per_minute,
        tokens_per_minute: wish.tokens_per_minute,
        expires_at: wish.expires_at,
    };
    let (grant, text) = control.create_key(wish, &admin).await?;
    let answer = json_of(&json!({ "id": grant.id, "label": grant.label, "key": text }))?;
    Ok((StatusCode::CREATED, answer).into_response())
}

async fn revoke_key(
    State(control): State<Control>,
    Extension(Admin(admin)): Extension<Admin>,
    Path(id): Path<String>,
) -> Answer {
    control.revoke_key(&KeyId(id.into()), &admin).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn reload(State(control): State<Control>) -> Answer {
    control.reload();
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Which part of the books, and how: `from` and `to` in Unix milliseconds.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct LedgerQuery {
    from: Option<i64>,
    to: Option<i64>,
    format: Option<String>,
}

async fn ledger(State(control): State<Control>, uri: Uri) -> Answer {
    let query: LedgerQuery = query(&uri)?;
    let format: Format = query.format.as_deref().unwrap_or("csv").parse().map_err(bad_request)?;
    let (from, to) = (UnixMs(query.from.unwrap_or(0)), UnixMs(query.to.unwrap_or(i64::MAX)));
    let (pages, body) = mpsc::channel(PAGES_AHEAD);
    tokio::spawn(async move {
        // An error ends the body before its end, which the client sees; a client that left ends the task.
        let mut books = ledger_export::Pages::new(control.store(), from, to);
        let mut text = Ok(ledger_export::header(format));
        loop {
            let failed = text.is_err();
            if pages.send(text.map(Bytes::from)).await.is_err() || failed {
                return;
            }
            text = match books.next().await {
                Ok(Some(records)) => Ok(ledger_export::print(format, &records)),
                Ok(None) => return,
                Err(error) => Err(error),
            };
        }
    });
    let kind = match format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Json => "application/x-ndjson",
        Format::Table => "text/plain; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, kind)], Body::new(PageBody(body))).into_response())
}

/// Pages of the ledger as they are read.
struct PageBody(mpsc::Receiver<Result<Bytes, StoreError>>);

impl HttpBody for PageBody {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, StoreError>>> {
        let page = ready!(self.0.poll_recv(context));
        Poll::Ready(page.map(|page| page.map(hyper::body::Frame::data)))
    }
}

async fn no_such_route(uri: Uri) -> Refusal {
    not_found("route", uri.path())
}

async fn no_such_method() -> Refusal {
    Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        message: "this route does not take that method".to_owned(),
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    let parsed = Query::<T>::try_from_uri(uri);
    parsed.map(|Query(query)| query).map_err(|rejection| bad_request(rejection.body_text()))
}

fn json_of(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn unauthenticated() -> Refusal {
    Refusal {
        status: StatusCode::UNAUTHORIZED,
        code: "unauthenticated",
        message: "send an admin token as `Authorization: Bearer fha_…`".to_owned(),
    }
}

fn bad_request(message: String) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, code: "bad_request", message }
}

fn not_found(what: &str, name: &str) -> Refusal {
    let name: String = name.chars().take(100).collect();
    Refusal { status: StatusCode::NOT_FOUND, code: "not_found", message: format!("there is no {what} `{name}`") }
}

fn internal(error: &dyn std::fmt::Display) -> Refusal {
    Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, code: "internal", message: error.to_string() }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Refusal {
        let (status, code) = match &error {
            ControlError::Store(StoreError::Unreadable { .. }) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "store_unreadable")
            }
            ControlError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
            ControlError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            ControlError::Refused(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            ControlError::WrongToken => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            ControlError::TooManyLogins { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_logins"),
            ControlError::Data { .. } | ControlError::InUse(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Refusal { status, code, message: error.to_string() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } }).to_string();
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
