//! Compiles the wire's messages; protox reads the schema, so no `protoc` needs to be installed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let schema = "../../schemas/ipc.proto";
    println!("cargo:rerun-if-changed={schema}");
    let messages = protox::compile([schema], ["../../schemas"])?;
    // Shared slices of the frame, where a Vec would copy them out of it.
    prost_build::Config::new().bytes(["."]).compile_fds(messages)?;
    Ok(())
}
