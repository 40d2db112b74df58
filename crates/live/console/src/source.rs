//! What the pages need to know and do, as a trait: `control` answers it in production, canned values in tests.

use std::future::Future;
use std::pin::Pin;

use control::anomalies::AnomaliesView;
use control::budgets::{BudgetsView, NewApproval};
use control::cache::CacheView;
use control::concentration::Concentration;
use control::drills::KeptDrill;
use control::hidden_costs::HiddenCosts;
use control::instances::InstanceView;
use control::keys::NewKey;
use control::sessions::{Login, Session};
use control::views::{
    CallFilter, CallView, ConfigurationView, KeyView, LaneView, Overview, ToolServerView, WorkflowView,
};
use control::{Control, ControlError};
use domain::{CallEnd, CallId, KeyId, UnixMs};
use thiserror::Error;

/// An answer that may take a moment.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// Why a page cannot be shown or a wish not be granted.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Trouble {
    /// The store cannot be read just now. Calls go on meanwhile.
    #[error("{0}")]
    Unavailable(String),
    /// There is no such thing; the sentence says where to look.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for cannot be done; the sentence says why.
    #[error("{0}")]
    Refused(String),
}

/// Names to choose from in forms, as the running configuration has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// Workflows.
    pub workflows: Vec<String>,
    /// Lanes.
    pub lanes: Vec<String>,
    /// Models.
    pub models: Vec<String>,
    /// Keys: id and label.
    pub keys: Vec<(String, String)>,
}

/// Everything the pages ask for.
pub trait Pages: Send + Sync {
    /// Values of the first page.
    fn overview(&self) -> Answer<'_, Overview>;
    /// Every workflow.
    fn workflows(&self) -> Answer<'_, Vec<WorkflowView>>;
    /// One workflow; `None` when there is none of that name.
    fn workflow<'a>(&'a self, name: &'a str) -> Answer<'a, Option<WorkflowView>>;
    /// Every lane with its models.
    fn lanes(&self) -> Answer<'_, Vec<LaneView>>;
    /// What is out of the ordinary.
    fn anomalies(&self) -> Answer<'_, AnomaliesView>;
    /// Every budget, and which have reached a share of their limit.
    fn budgets(&self) -> Answer<'_, BudgetsView>;
    /// Lets a budget go on for `by`; answers with what was approved.
    fn approve_budget<'a>(&'a self, wish: NewApproval, by: &'a str) -> Answer<'a, String>;
    /// Every server of tools.
    fn tool_servers(&self) -> Answer<'_, Vec<ToolServerView>>;
    /// What answers of the last days cost beyond their list price; today is the last of them.
    fn hidden_costs(&self, days: u32) -> Answer<'_, HiddenCosts>;
    /// What the cache keeps, and what it gave again in the last days; today is the last of them.
    fn cache(&self, days: u32) -> Answer<'_, CacheView>;
    /// Throws away what is kept for a workflow, for `by`; how many answers that were.
    fn purge_cache<'a>(&'a self, workflow: &'a str, by: &'a str) -> Answer<'a, u64>;
    /// Kept reports of drills, newest first.
    fn drills(&self) -> Answer<'_, Vec<KeptDrill>>;
    /// The HTML file of one.
    fn drill_page(&self, id: i64) -> Answer<'_, Option<String>>;
    /// Who depends on whom, over the last days.
    fn concentration(&self, days: u32) -> Answer<'_, Concentration>;
    /// Every instance on the database.
    fn instances(&self) -> Answer<'_, Vec<InstanceView>>;
    /// Calls that ended, newest first.
    fn calls(&self, filter: CallFilter) -> Answer<'_, Vec<CallEnd>>;
    /// One call; `None` when nothing is known of it.
    fn call(&self, id: CallId) -> Answer<'_, Option<CallView>>;
    /// The configuration that runs.
    fn configuration(&self) -> Answer<'_, ConfigurationView>;
    /// Every key, revoked ones too.
    fn keys(&self) -> Answer<'_, Vec<KeyView>>;
    /// Makes a key for `by`; answers with its text, which is never to be had again.
    fn create_key<'a>(&'a self, wish: NewKey, by: &'a str) -> Answer<'a, String>;
    /// Revokes a key for `by`.
    fn revoke_key<'a>(&'a self, id: &'a KeyId, by: &'a str) -> Answer<'a, ()>;
    /// Names for forms.
    fn names(&self) -> Answer<'_, Names>;
    /// Where applications reach the gateway, such as `http://127.0.0.1:7400`.
    fn gateway_address(&self) -> String;
    /// Starts a session for somebody at the address `from`, if the admin token is right.
    fn login<'a>(&'a self, token: &'a str, from: &'a str) -> Answer<'a, Login>;
    /// The session a cookie stands for, if it is still good.
    fn session<'a>(&'a self, cookie: &'a str) -> Answer<'a, Option<Session>>;
    /// Ends a session.
    fn logout<'a>(&'a self, cookie: &'a str) -> Answer<'a, ()>;
    /// The time, for pages that say what has expired.
    fn now(&self) -> UnixMs;
}

impl From<ControlError> for Trouble {
    fn from(error: ControlError) -> Trouble {
        let sentence = capitalised(&error.to_string());
        match error {
            ControlError::NotFound(_) => Trouble::NotFound(sentence),
            ControlError::Refused(_) | ControlError::WrongToken | ControlError::TooManyLogins { .. } => {
                Trouble::Refused(sentence)
            }
            ControlError::Store(_) | ControlError::Data { .. } | ControlError::InUse(_) => {
                Trouble::Unavailable(sentence)
            }
        }
    }
}

/// The sentence as a page begins one.
fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if sentence.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

impl Pages for Control {
    fn overview(&self) -> Answer<'_, Overview> {
        Box::pin(async move { Ok(Control::overview(self).await?) })
    }

    fn workflows(&self) -> Answer<'_, Vec<WorkflowView>> {
        Box::pin(async move { Ok(Control::workflows(self).await?) })
    }

    fn workflow<'a>(&'a self, name: &'a str) -> Answer<'a, Option<WorkflowView>> {
        Box::pin(async move { Ok(Control::workflow(self, name).await?) })
    }

    fn lanes(&self) -> Answer<'_, Vec<LaneView>> {
        Box::pin(async move { Ok(Control::lanes(self).await?) })
    }

    fn anomalies(&self) -> Answer<'_, AnomaliesView> {
        Box::pin(async move { Ok(Control::anomalies(self)) })
    }

    fn budgets(&self) -> Answer<'_, BudgetsView> {
        Box::pin(async move { Ok(Control::budgets(self)) })
    }

    fn approve_budget<'a>(&'a self, wish: NewApproval, by: &'a str) -> Answer<'a, String> {
        Box::pin(async move { Ok(Control::approve_budget(self, &wish, by).await?) })
    }

    fn instances(&self) -> Answer<'_, Vec<InstanceView>> {
        Box::pin(async move { Ok(Control::instances(self).await?) })
    }

    fn tool_servers(&self) -> Answer<'_, Vec<ToolServerView>> {
        Box::pin(async move { Ok(Control::tool_servers(self).await?) })
    }

    fn hidden_costs(&self, days: u32) -> Answer<'_, HiddenCosts> {
        Box::pin(async move { Ok(Control::hidden_costs(self, days).await?) })
    }

    fn cache(&self, days: u32) -> Answer<'_, CacheView> {
        Box::pin(async move { Ok(Control::cache(self, days).await?) })
    }

    fn purge_cache<'a>(&'a self, workflow: &'a str, by: &'a str) -> Answer<'a, u64> {
        Box::pin(async move { Ok(Control::purge_cache(self, Some(workflow), by).await?) })
    }

    fn drills(&self) -> Answer<'_, Vec<KeptDrill>> {
        Box::pin(async move { Ok(Control::drills(self).await?) })
    }

    fn drill_page(&self, id: i64) -> Answer<'_, Option<String>> {
        Box::pin(async move { Ok(Control::drill_page(self, id).await?) })
    }

    fn concentration(&self, days: u32) -> Answer<'_, Concentration> {
        Box::pin(async move { Ok(Control::concentration(self, days).await?) })
    }

    fn calls(&self, filter: CallFilter) -> Answer<'_, Vec<CallEnd>> {
        Box::pin(async move { Ok(Control::calls(self, &filter).await?) })
    }

    fn call(&self, id: CallId) -> Answer<'_, Option<CallView>> {
        Box::pin(async move { Ok(Control::call(self, id).await?) })
    }

    fn configuration(&self) -> Answer<'_, ConfigurationView> {
        Box::pin(async move { Ok(Control::configuration(self).await?) })
    }

    fn keys(&self) -> Answer<'_, Vec<KeyView>> {
        Box::pin(async move { Ok(Control::keys(self).await?) })
    }

    fn create_key<'a>(&'a self, wish: NewKey, by: &'a str) -> Answer<'a, String> {
        Box::pin(async move { Ok(Control::create_key(self, wish, by).await?.1) })
    }

    fn revoke_key<'a>(&'a self, id: &'a KeyId, by: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { Ok(Control::revoke_key(self, id, by).await?) })
    }

    fn names(&self) -> Answer<'_, Names> {
        Box::pin(async move {
            let (snapshot, _) = self.running().snapshot();
            let keys = Control::keys(self).await?.into_iter();
            Ok(Names {
                workflows: snapshot.workflows.keys().map(ToString::to_string).collect(),
                lanes: snapshot.lanes.iter().map(|lane| lane.name.to_string()).collect(),
                models: snapshot.models.iter().map(|model| model.name.to_string()).collect(),
                keys: keys.map(|key| (key.grant.id.to_string(), key.grant.label)).collect(),
            })
        })
    }

    fn gateway_address(&self) -> String {
        let listen = self.running().snapshot().0.server.listen;
        // An address that means every interface is none to call; from this machine the loopback is.
        if listen.ip().is_unspecified() {
            format!("http://127.0.0.1:{}", listen.port())
        } else {
            format!("http://{listen}")
        }
    }

    fn login<'a>(&'a self, token: &'a str, from: &'a str) -> Answer<'a, Login> {
        Box::pin(async move { Ok(Control::login(self, token, from).await?) })
    }

    fn session<'a>(&'a self, cookie: &'a str) -> Answer<'a, Option<Session>> {
        Box::pin(async move { Ok(Control::session(self, cookie).await?) })
    }

    fn logout<'a>(&'a self, cookie: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { Ok(Control::logout(self, cookie).await?) })
    }

    fn now(&self) -> UnixMs {
        Control::now(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_control_becomes_a_sentence_of_a_page() {
        assert_eq!(capitalised("no such key"), "No such key.");
        assert_eq!(capitalised(""), ".");
        let waiting = Trouble::from(ControlError::TooManyLogins { retry_after_ms: 1_500 });
        assert_eq!(waiting, Trouble::Refused("Too many failed logins; try again in 2 seconds.".to_owned()));
    }
}
