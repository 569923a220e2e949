//! `liprl certify --net`: the network of a file by itself.

use std::path::Path;

use liprl_control::PolicyHead;

use super::certify::{Subject, check_boxes};
use crate::certify::BoxChoice;
use crate::cli::{CertifyArgs, CertifyMethod};
use crate::import;
use crate::load::load_policy;
use crate::usage::Usage;

/// Loads the network of a policy file or of another program's. It is searched around the middles of
/// the boxes.
pub(super) fn subject(args: &CertifyArgs, file: &Path) -> anyhow::Result<Subject> {
    if args.boxes.iter().any(|choice| !matches!(choice, BoxChoice::Given(_))) {
        return Err(Usage(
            "--box data and state±R are around states that an environment visits, and --net has none; give LOW:HIGH or CENTRE±R".to_owned(),
        )
        .into());
    }
    if args.method == CertifyMethod::Local && args.boxes.is_empty() {
        return Err(Usage("--method local bounds over boxes; give one: --box LOW:HIGH or CENTRE±R".to_owned()).into());
    }
    let (network, to, clamped) = if import::is_policy(file)? {
        if args.foreign.any() {
            let file = file.display();
            return Err(Usage(format!("{file} is a policy file and says everything itself; leave out --prefix, --activation, --squash and --normaliser")).into());
        }
        let policy = load_policy(file)?;
        let clamped = policy.head() == PolicyHead::Clamp;
        (policy.to_certify(vec![1.0; policy.act_dim()])?, "action in [-1, 1]", clamped)
    } else {
        let found = import::read(file, &args.foreign.options(), None)?;
        let (network, clamped) = import::certifiable(&found, "network").map_err(|fault| fault.of(file))?;
        (network?, "output", clamped)
    };
    check_boxes(args, &network)?;
    let mut inputs = Vec::new();
    for choice in &args.boxes {
        if let BoxChoice::Given(given) = choice {
            inputs.extend(given.region(network.inputs())?.centre());
        }
    }
    Ok(Subject { network, origin: file.to_owned(), task: None, from: "input", to, clamped, inputs, construction: None })
}
