//! `ganc new`: a spec to start from.

use super::{Failure, io};
use crate::diag::render;
use std::io::Write;
use std::path::PathBuf;

/// Options of `ganc new`.
#[derive(clap::Args)]
pub struct New {
    /// Name of the new spec; the file is NAME.gan
    name: String,
    /// The built-in spec to start from
    #[arg(long, default_value = "digits", value_name = "SPEC")]
    like: String,
}

/// The built-in specs.
const SPECS: &[(&str, &str)] = &[
    ("digits", include_str!("../../specs/digits.gan")),
    ("ring", include_str!("../../specs/ring.gan")),
    ("grid", include_str!("../../specs/grid.gan")),
    ("vanilla", include_str!("../../specs/vanilla.gan")),
    ("dcgan", include_str!("../../specs/dcgan.gan")),
    ("cgan", include_str!("../../specs/cgan.gan")),
    ("acgan", include_str!("../../specs/acgan.gan")),
    ("projection", include_str!("../../specs/projection.gan")),
    ("wgan_gp", include_str!("../../specs/wgan_gp.gan")),
    ("sngan", include_str!("../../specs/sngan.gan")),
    ("pix2pix", include_str!("../../specs/pix2pix.gan")),
    ("cyclegan", include_str!("../../specs/cyclegan.gan")),
    ("text", include_str!("../../specs/text.gan")),
    ("voices", include_str!("../../specs/voices.gan")),
    ("stylegan", include_str!("../../specs/stylegan.gan")),
    ("twin", include_str!("../../specs/twin.gan")),
    ("vae", include_str!("../../specs/vae.gan")),
    ("cvae", include_str!("../../specs/cvae.gan")),
];

/// Runs the command.
pub fn run(c: New) -> Result<(), Failure> {
    let Some((like, text)) = SPECS.iter().find(|(n, _)| *n == c.like) else {
        let names = SPECS.iter().map(|s| s.0);
        let list = names.clone().collect::<Vec<_>>().join(", ");
        let near = render::suggest(&c.like, names).map_or(".".to_string(), |n| format!("; did you mean `{n}`?"));
        return Err(Failure::Usage(format!("there is no built-in spec `{}`{near} Expected one of: {list}", c.like)));
    };
    let is_name = c.name.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_')
        && c.name.starts_with(|ch: char| ch.is_ascii_alphabetic());
    if !is_name {
        return Err(Failure::Usage(format!("`{}` cannot name a spec: expected letters, digits and _, a letter first", c.name)));
    }
    let path = PathBuf::from(format!("{}.gan", c.name));
    let text = text.replace(&format!("gan: {like}"), &format!("gan: {}", c.name));
    let mut file = std::fs::File::create_new(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Data(format!("{}: exists already; nothing was changed", path.display())),
        _ => Failure::Data(format!("{}: {e}", path.display())),
    })?;
    file.write_all(text.as_bytes()).map_err(io(&path))?;
    eprintln!("wrote {} (train it with `ganc run {0}`)", path.display());
    Ok(())
}
