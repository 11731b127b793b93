//! Validates candidates step by step. Keeps the last compiled components, so that swapping between
//! plugins is cheap.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{Candidate, LoadPolicy, RejectedCandidate, RejectionCause, SwapStep, samples};
use crate::cases::Cases;
use crate::{
    AdmittedPlugin, CompiledComponent, Engine, LoadError, Mapper, Plugin, PluginSettings, Role,
    Untrusted, sha256_hex,
};

/// Compiled components that are kept in memory, so that swapping between a few of them does not
/// compile again.
const PLUGINS_COMPILED_KEPT: usize = 4;

/// Validates candidates, and keeps the last components that it compiled.
#[derive(Debug, Default)]
pub struct CandidateValidator {
    /// Compiled components, the latest last.
    compiled: VecDeque<CompiledComponent>,
    /// The component that is part of the program, and its hash.
    built_in: Option<(&'static [u8], Arc<str>)>,
}

impl CandidateValidator {
    /// Validates a candidate. A known plugin with the same settings has passed the other steps
    /// before, so only new cases can reject it.
    ///
    /// # Errors
    ///
    /// Fails if the candidate fails a step.
    pub fn validate(
        &mut self,
        engine: &Engine,
        candidate: &Candidate,
        policy: &LoadPolicy,
        role: Role,
        known: &[Plugin],
    ) -> Result<AdmittedPlugin, RejectedCandidate> {
        let digest = self.candidate_digest(candidate);
        let untrusted = |error: Untrusted| RejectedCandidate::new(SwapStep::Trust, &digest, error);
        let check = || policy.trust.check(role, &candidate.bytes, &digest, &candidate.signature);
        let checked = SwapStep::Trust.run(check);
        let evidence = checked.map_err(untrusted)?;
        let admit = |plugin| policy.trust.admit(role, plugin, evidence).map_err(untrusted);
        let settings = policy.candidate_settings(candidate, &digest);
        let is_same = |known: &&Plugin| *known.digest() == digest && *known.settings() == settings;
        if let (Some(plugin), None) = (known.iter().find(is_same), &policy.cases) {
            return admit(plugin.clone());
        }
        if let Some(runner) = &candidate.runner {
            engine.add_script_runner(runner);
        }
        let load_error = |error| RejectedCandidate::load_failed(&digest, error);
        let loaded = self.load_plugin(engine, &candidate.bytes, &digest, settings);
        let plugin = loaded.map_err(load_error)?;
        Self::run_samples_and_cases(&plugin, policy.cases.as_deref())?;
        admit(plugin)
    }

    /// Configures a component in use with other settings, and repeats the steps that depend on
    /// them.
    pub(super) fn reconfigure(
        plugin: &Plugin,
        settings: PluginSettings,
        cases: Option<&Cases>,
    ) -> Result<Plugin, RejectedCandidate> {
        let configured = SwapStep::Configure.run(|| plugin.configure_anew(settings));
        let configured =
            configured.map_err(|error| RejectedCandidate::load_failed(plugin.digest(), error))?;
        Self::run_samples_and_cases(&configured, cases)?;
        Ok(configured)
    }

    /// Runs the samples and the cases.
    fn run_samples_and_cases(
        plugin: &Plugin,
        cases: Option<&Cases>,
    ) -> Result<(), RejectedCandidate> {
        let refuse =
            |step, cause: RejectionCause| RejectedCandidate::new(step, plugin.digest(), cause);
        let mut mapper = Mapper::new(plugin.clone());
        let mapped = SwapStep::Samples.run(|| samples::map_samples(&mut mapper));
        mapped.map_err(|cause| refuse(SwapStep::Samples, cause))?;
        if let Some(cases) = cases {
            let failures = SwapStep::Cases.run(|| cases.run(&mut mapper));
            let count = failures.len();
            if let Some(first) = failures.into_iter().next() {
                return Err(refuse(SwapStep::Cases, RejectionCause::Cases { count, first }));
            }
        }
        mapper.retire();
        Ok(())
    }

    /// The SHA-256 of a component. The built-in one is hashed once.
    fn candidate_digest(&mut self, candidate: &Candidate) -> Arc<str> {
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

    fn load_plugin(
        &mut self,
        engine: &Engine,
        bytes: &[u8],
        digest: &Arc<str>,
        settings: PluginSettings,
    ) -> Result<Plugin, LoadError> {
        #[cfg(test)]
        if let Some(script) = crate::scripted::registered_script(bytes) {
            return SwapStep::Configure.run(|| Plugin::scripted_as(script, digest, settings));
        }
        let compiled = SwapStep::Compile.run(|| self.compile_once(engine, bytes, digest))?;
        SwapStep::Configure.run(|| compiled.configure(settings))
    }

    fn compile_once(
        &mut self,
        engine: &Engine,
        bytes: &[u8],
        digest: &Arc<str>,
    ) -> Result<CompiledComponent, LoadError> {
        if let Some(known) = self.compiled.iter().find(|known| known.digest() == digest) {
            return Ok(known.clone());
        }
        let compiled = CompiledComponent::new(engine, bytes)?;
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
    use crate::SignatureCheck;

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
        let (engine, policy) = (Engine::new(None).unwrap(), LoadPolicy::default());
        let candidate = Candidate {
            bytes: b"\0asm\x0d\0\x01\0 and nothing more".into(),
            signature: SignatureCheck::None,
            runner: None,
            settings: Some("{\"key\":\"a secret\"}".into()),
            origin: "a test".to_owned(),
        };
        let prepared =
            CandidateValidator::default().validate(&engine, &candidate, &policy, Role::Active, &[]);
        assert_eq!(prepared.unwrap_err().step, SwapStep::Compile);
        drop(guard);
        let log = fs::read_to_string(log.path()).unwrap();
        let steps = log.lines().filter(|line| line.contains("swap_step"));
        let steps: Vec<_> = steps.filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(steps, ["trust", "compile"], "{log}");
        assert!(!log.contains("a secret"), "{log}");
    }
}
