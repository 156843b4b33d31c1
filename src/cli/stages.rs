//! The sessions of a run: one, or one for each stage of growing, all compiled before training begins.
//!
//! Holds: the session in work has all states and the progress; the others only wait.

use super::pictures::{Gallery, Look};
use super::{Failure, SpecArgs, load_stage};
use crate::codegen::Host;
use crate::data::DataError;
use crate::driver;
use crate::model::Model;
use crate::train::checkpoint;
use crate::train::steps::{Feeder, Streams};
use crate::train::{Options, Session};
use std::path::{Path, PathBuf};

/// One stage.
struct Stage {
    model: Model,
    session: Session,
    gallery: Option<Gallery>,
    /// First step that is not its own.
    end: u64,
}

/// All stages of a run.
pub struct Stages {
    all: Vec<Stage>,
    now: usize,
}

impl Stages {
    /// Compiles every stage of the spec behind `args`, whose model is `model` (that of the last stage).
    /// Errors: the host cannot run the code.
    pub fn compile(args: &SpecArgs, model: Model, host: &Host, options: Options) -> Result<Stages, Failure> {
        let mut all = Vec::new();
        if let Some(g) = model.growth.clone() {
            for k in g.start..g.stage {
                let checked = load_stage(args, Some(k))?;
                let model = checked.model.ok_or(Failure::Spec)?;
                let end = g.begin(k + 1, model.train.batch);
                let session = driver::session(driver::program(&model, None), host, options).map_err(Failure::Limit)?;
                all.push(Stage { model, session, gallery: None, end });
            }
        }
        let session = driver::session(driver::program(&model, None), host, options).map_err(Failure::Limit)?;
        all.push(Stage { model, session, gallery: None, end: u64::MAX });
        Ok(Stages { all, now: 0 })
    }

    /// The data of the session in work.
    /// Errors: files are missing or broken.
    pub fn streams(&mut self) -> Result<Streams, DataError> {
        let stage = &self.all[self.now];
        Streams::open(&stage.model, &stage.session)
    }

    /// The model in work.
    pub fn model(&self) -> &Model {
        &self.all[self.now].model
    }

    /// The session in work.
    pub fn session(&mut self) -> &mut Session {
        &mut self.all[self.now].session
    }

    /// The session in work with the pictures of its samples.
    pub fn with_gallery(&mut self) -> (&mut Session, Option<&mut Gallery>) {
        let stage = &mut self.all[self.now];
        (&mut stage.session, stage.gallery.as_mut())
    }

    /// Prepares the pictures of every stage from here on.
    /// Errors: the host cannot run a sampler, or data cannot be had.
    pub fn prepare_galleries(&mut self, host: &Host, streams: &mut Streams) -> Result<(), Failure> {
        for stage in self.all[self.now..].iter_mut().rev() {
            streams.rebind(&stage.model, &stage.session);
            let look = Look::new(&stage.model, &stage.session.program);
            stage.gallery = Gallery::new(&stage.model, &mut stage.session, host, look, streams)?;
        }
        Ok(())
    }

    /// Goes on with the newest whole checkpoint in `folder`; returns its path.
    /// Errors: there is none, or it belongs to another spec.
    pub fn resume(&mut self, folder: &Path) -> Result<PathBuf, Failure> {
        let (path, k) = checkpoint::newest(folder, |path| {
            let step = checkpoint::step_of(path).unwrap_or(0);
            let k = self.all.iter().position(|s| step < s.end).unwrap_or(self.all.len() - 1);
            checkpoint::load(&mut self.all[k].session, path).map(|()| k)
        })?;
        self.now = k;
        Ok(path)
    }

    /// Goes on to the next stage where this one has ended: its session takes over every state that both have, and the progress.
    /// Returns whether it did.
    pub fn advance(&mut self, feeder: &mut Feeder) -> bool {
        let stage = &self.all[self.now];
        if stage.session.progress.step < stage.end || self.now + 1 == self.all.len() {
            return false;
        }
        let (before, after) = self.all.split_at_mut(self.now + 1);
        after[0].session.take_over(&before[self.now].session);
        self.now += 1;
        let stage = &self.all[self.now];
        feeder.rebind(&stage.model, &stage.session);
        true
    }
}
