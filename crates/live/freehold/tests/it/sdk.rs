//! The official SDKs, driven through a real server with real and simulated providers behind it. `cargo xtask test` installs
//! them and runs these; on their own they need FREEHOLD_SDK_PYTHON, the interpreter they are installed for.
