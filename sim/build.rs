//! Compiles the games' messages and the recording's with protox, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["arena/v1/arena", "recording/v1/recording"].map(|f| format!("schema/driftless/{f}.proto"));
    let descriptors = protox::compile(&files, ["schema"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=schema");
    Ok(())
}
