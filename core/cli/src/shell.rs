//! Completions and manual pages, from the definition of the command line.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;

use crate::error::CommandError;
use crate::print;

/// `peers completions`
pub(crate) fn completions(mut command: Command, shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "peers", &mut script);
    print::bytes(&script)
}

/// `peers man`
pub(crate) fn man(command: Command, folder: Option<&Path>) -> Result<(), CommandError> {
    let command = command.disable_help_subcommand(true);
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(CommandError::io("the page"))?;
        return print::bytes(&page);
    };
    clap_mangen::generate_to(command, folder).map_err(CommandError::io(folder.display()))
}
