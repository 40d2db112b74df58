//! The table of pages: a page is one file here, one template, and one row.

use axum::routing::{MethodRouter, get, post};

use crate::desk::Desk;

pub mod anomalies;
pub mod budgets;
pub mod cache;
pub mod call;
pub mod calls;
pub mod concentration;
pub mod configuration;
pub mod costs;
pub mod drills;
pub mod error;
pub mod instances;
pub mod keys;
pub mod lanes;
pub mod login;
pub mod overview;
pub mod tools;
pub mod workflow;
pub mod workflows;

/// One page, or one place forms are sent to.
pub struct Page {
    /// Its path, with parameters as axum writes them.
    pub path: &'static str,
    /// What the menu calls it; `None` keeps it out of the menu.
    pub menu: Option<&'static str>,
    /// Who answers.
    pub route: fn() -> MethodRouter<Desk>,
}

/// Every page, in the order of the menu.
pub const PAGES: &[Page] = &[
    Page { path: "/", menu: Some("Overview"), route: || get(overview::show) },
    Page { path: "/workflows", menu: Some("Workflows"), route: || get(workflows::show) },
    Page { path: "/workflows/{name}", menu: None, route: || get(workflow::show) },
    Page { path: "/lanes", menu: Some("Lanes"), route: || get(lanes::show) },
    Page { path: "/anomalies", menu: Some("Anomalies"), route: || get(anomalies::show) },
    Page { path: "/budgets", menu: Some("Budgets"), route: || get(budgets::show).post(budgets::approve) },
    Page { path: "/tools", menu: Some("Tools"), route: || get(tools::show) },
    Page { path: "/costs", menu: Some("Costs"), route: || get(costs::show) },
    Page { path: "/cache", menu: Some("Cache"), route: || get(cache::show).post(cache::purge) },
    Page { path: "/concentration", menu: Some("Concentration"), route: || get(concentration::show) },
    Page { path: "/drills", menu: Some("Drills"), route: || get(drills::show) },
    Page { path: "/drills/{id}", menu: None, route: || get(drills::page) },
    Page { path: "/calls", menu: Some("Calls"), route: || get(calls::show) },
    Page { path: "/calls/{id}", menu: None, route: || get(call::show) },
    Page { path: "/configuration", menu: Some("Configuration"), route: || get(configuration::show) },
    Page { path: "/instances", menu: Some("Instances"), route: || get(instances::show) },
    Page { path: "/keys", menu: Some("Keys"), route: || get(keys::show).post(keys::make) },
    Page { path: "/keys/{id}/revoke", menu: None, route: || get(keys::ask_to_revoke).post(keys::revoke) },
    Page { path: "/login", menu: None, route: || get(login::show).post(login::enter) },
    Page { path: "/logout", menu: None, route: || post(login::leave) },
];
