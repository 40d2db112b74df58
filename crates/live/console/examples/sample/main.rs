//! Serves every page with canned values, for looking at them and for browser tests: `sample [PORT]`, admin token `sample`.

mod canned;

use std::sync::Arc;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|text| text.parse::<u16>().ok()).unwrap_or(7499);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{} with the admin token `{}`", listener.local_addr()?, canned::TOKEN);
    axum::serve(listener, console::router_over(Arc::new(canned::Canned::new(canned::system_time())))).await
}
