use clap::CommandFactory as _;
#[test]
fn the_command_line_is_consistent() { crate::Cli::command().debug_assert(); }
