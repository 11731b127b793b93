//! Takes candidates through their steps, and keeps the last compiled components, so that going back
//! and forth costs little.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{Candidate, RefusalCause, Refused, Step, Terms, samples};
use crate::cases::Cases;
use crate::{
    Admitted, Compiled, Engine, LoadError, Mapper, Plugin, PluginSettings, Role, Untrusted,
    sha256_hex,
};

/// Compiled components that are kept in memory, so that going back and forth
/// between a few of them compiles none again.
const PLUGINS_COMPILED_KEPT: usize = 4;

/// Takes candidates through their steps, and keeps what it compiles, so that going back
/// and forth costs little.
#[derive(Debug, Default)]
pub struct Workshop {
    /// Components that were compiled, the latest last.
    compiled: VecDeque<Compiled>,
    /// A component that is part of the program, and its hash.
    built_in: Option<(&'static [u8], Arc<str>)>,
}

impl Workshop {
    /// Have a candidate go through its steps. One that is a known plugin, with the same
    /// settings, has been through them: of what it decides, cases alone can ask for
    /// more than they did.
    ///
    /// # Errors
    ///
    /// It does not pass a step.
    pub fn prepare(
        &mut self,
        engine: &Engine,
        candidate: &Candidate,
        terms: &Terms,
        role: Role,
        known: &[Plugin],
    ) -> Result<Admitted, Refused> {
        let digest = self.digest(candidate);
        let untrusted = |error: Untrusted| Refused::new(Step::Trust, &digest, error);
        let check = || terms.trust.check(role, &candidate.bytes, &digest, &candidate.seal);
        let checked = Step::Trust.take(check);
        let evidence = checked.map_err(untrusted)?;
        let admit = |plugin| terms.trust.admit(role, plugin, evidence).map_err(untrusted);
        let settings = candidate.settings.as_ref().unwrap_or(&terms.settings);
        let settings = terms.with_defaults(settings, &digest);
        let is_same = |known: &&Plugin| *known.digest() == digest && *known.settings() == settings;
        if let (Some(plugin), None) = (known.iter().find(is_same), &terms.cases) {
            return admit(plugin.clone());
        }
        let load_error = |error| Refused::load(&digest, error);
        let loaded = self.load(engine, &candidate.bytes, &digest, settings);
        let plugin = loaded.map_err(load_error)?;
        Self::try_on(&plugin, terms.cases.as_deref())?;
        admit(plugin)
    }

    /// Have a component that is in use go through the steps that depend on its settings,
    /// with these.
    pub(super) fn reconfigure(
        plugin: &Plugin,
        settings: PluginSettings,
        cases: Option<&Cases>,
    ) -> Result<Plugin, Refused> {
        let configured = Step::Configure.take(|| plugin.configure_anew(settings));
        let configured = configured.map_err(|error| Refused::load(plugin.digest(), error))?;
        Self::try_on(&configured, cases)?;
        Ok(configured)
    }

    /// Have a plugin map samples, and pass the cases.
    fn try_on(plugin: &Plugin, cases: Option<&Cases>) -> Result<(), Refused> {
        let refuse = |step, cause: RefusalCause| Refused::new(step, plugin.digest(), cause);
        let mut mapper = Mapper::new(plugin.clone());
        let mapped = Step::Samples.take(|| samples::try_on(&mut mapper));
        mapped.map_err(|cause| refuse(Step::Samples, cause))?;
        if let Some(cases) = cases {
            let failures = Step::Cases.take(|| cases.run(&mut mapper));
            let count = failures.len();
            if let Some(first) = failures.into_iter().next() {
                return Err(refuse(Step::Cases, RefusalCause::Cases { count, first }));
            }
        }
        mapper.retire();
        Ok(())
    }

    /// A component's hash. What cannot change is hashed once.
    fn digest(&mut self, candidate: &Candidate) -> Arc<str> {
        let Cow::Borrowed(bytes) = candidate.bytes else {
            return sha256_hex(&candidate.bytes).into();
        };
        match &self.built_in {
            Some((known, digest)) if std::ptr::eq(bytes, *known) => Arc::clone(digest),
            _ => {
                let digest = Arc::<str>::from(sha256_hex(bytes));
                self.built_in = Some((bytes, Arc::clone(&digest)));
                digest
            }
        }
    }

    fn load(
        &mut self,
        engine: &Engine,
        bytes: &[u8],
        digest: &Arc<str>,
        settings: PluginSettings,
    ) -> Result<Plugin, LoadError> {
        #[cfg(test)]
        if let Some(script) = crate::scripted::registered(bytes) {
            return Step::Configure.take(|| Plugin::scripted_as(script, digest, settings));
        }
        let compiled = Step::Compile.take(|| self.compile(engine, bytes, digest))?;
        Step::Configure.take(|| compiled.configure(settings))
    }

    fn compile(
        &mut self,
        engine: &Engine,
        bytes: &[u8],
        digest: &Arc<str>,
    ) -> Result<Compiled, LoadError> {
        if let Some(known) = self.compiled.iter().find(|known| known.digest() == digest) {
            return Ok(known.clone());
        }
        let compiled = Compiled::new(engine, bytes)?;
        if self.compiled.len() == PLUGINS_COMPILED_KEPT {
            self.compiled.pop_front();
        }
        self.compiled.push_back(compiled.clone());
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::NamedTempFile;
    use tracing::Level;
    use tracing_subscriber::fmt::format::FmtSpan;

    use super::*;
    use crate::Seal;

    #[test]
    fn each_step_of_a_candidate_has_a_span_up_to_the_one_that_it_fails() {
        let log = NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_span_events(FmtSpan::NEW)
            .with_ansi(false)
            .with_writer(Arc::new(log.reopen().unwrap()));
        standpipe_core::scoped_log::ask_all_threads();
        let guard = tracing::subscriber::set_default(subscriber.finish());
        let (engine, terms) = (Engine::new(None).unwrap(), Terms::default());
        let candidate = Candidate {
            bytes: b"\0asm\x0d\0\x01\0 and nothing more".into(),
            seal: Seal::Missing,
            settings: Some("{\"key\":\"a secret\"}".into()),
            origin: "a test".to_owned(),
        };
        let prepared = Workshop::default().prepare(&engine, &candidate, &terms, Role::Active, &[]);
        assert_eq!(prepared.unwrap_err().step, Step::Compile);
        drop(guard);
        let log = fs::read_to_string(log.path()).unwrap();
        let steps = log.lines().filter(|line| line.contains("swap_step"));
        let steps: Vec<_> = steps.filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(steps, ["trust", "compile"], "{log}");
        assert!(!log.contains("a secret"), "{log}");
    }
}
