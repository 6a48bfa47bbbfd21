// The build script of every server is this file: `include!("../rt/link.rs");`. It links the binary with the layout of
// `user.ld` when it is built for the domain; on the host it does nothing.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../servers/rt/user.ld");
    println!("cargo::rerun-if-changed={script}");
    if std::env::var_os("CARGO_CFG_XYLEM_USER").is_some() {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}
