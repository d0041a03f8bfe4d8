//! Compiles the schema with protox, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["client", "server", "schema", "state"].map(|f| format!("schema/driftless/v1/{f}.proto"));
    let descriptors = protox::compile(&files, ["schema"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=schema");
    Ok(())
}
