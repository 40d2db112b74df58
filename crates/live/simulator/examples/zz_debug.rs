//! Debug.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let s = simulator::Scenario::parse("[providers.paced]\noutput_tokens = 301\ntokens_per_second = 100\n").unwrap();
    let sim = simulator::serve(s, "127.0.0.1:7599".parse().unwrap()).await.unwrap();
    println!("{}", sim.address);
    std::future::pending::<()>().await;
}
