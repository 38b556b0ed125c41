//! Passes the linker what an N-API addon needs; nothing else.

fn main() {
    napi_build::setup();
}
