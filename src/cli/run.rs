//! stub
#[derive(clap::Args)]
pub struct Run {}
pub fn run(_: Run) -> Result<(), super::Failure> {
    Ok(())
}
