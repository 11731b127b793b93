use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tests::{case, workspace};

const THREADS: usize = 4;

/// Every folder under `tests/cases`; all failures are told, not only the first.
#[test]
fn every_case_comes_out_as_expected() {
    let folders = case::folders(&workspace().join("tests/cases"));
    assert!(folders.len() > 30, "cases are missing");
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = folder.file_name().expect("a name").to_string_lossy();
                    if let Err(differences) = case::run(folder) {
                        let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
                        failures.push(format!("== {name}\n{differences}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}
