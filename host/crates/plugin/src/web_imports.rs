//! The optional imports of the contract, for the sandboxes of plugins.

use wasmtime::component::{HasSelf, Linker};

use super::sandbox::Sandbox;
use super::web::bindings::Network;
use super::web::bindings::standpipe::mapping::{geolocation, web};

/// Provides the optional imports of the contract.
pub(super) fn add_web_to_linker(linker: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    Network::add_to_linker::<_, HasSelf<_>>(linker, |sandbox| sandbox)
}

impl web::Host for Sandbox {
    fn fetch_all(
        &mut self,
        requests: Vec<web::Request>,
    ) -> Vec<Result<web::Response, web::Failure>> {
        let results = self.network.fetch_all(requests, &mut self.call_usage);
        results.into_iter().map(|result| result.map_err(Into::into)).collect()
    }
}

impl geolocation::Host for Sandbox {
    fn locate(&mut self, address: String) -> Result<Option<String>, String> {
        self.network.locate(&address)
    }
}
