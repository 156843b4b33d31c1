//! stub
#[derive(clap::Args)]
pub struct Sample {}
pub fn run(_: Sample) -> Result<(), super::Failure> {
    Ok(())
}
