//! Debug builds only: lets a test start a server without one of its defences, to show that an
//! attack which fails would succeed without it.
//!
//! `LETHE_DEFENCES_OFF=rekey,erase`: names of [`lethe_types::Defence`]. No setting does this, and a
//! release build has nothing to switch.

/// Switches off what the environment names; in a release build there is nothing to switch.
#[cfg(not(debug_assertions))]
pub(crate) fn arm() {}

/// Switches off what the environment names, and says so; any other word ends the process.
#[cfg(debug_assertions)]
pub(crate) fn arm() {
    use lethe_types::Defence;

    const VARIABLE: &str = "LETHE_DEFENCES_OFF";

    let Ok(text) = std::env::var(VARIABLE) else { return };
    for word in text.split(',') {
        let Some(defence) = Defence::parse(word) else {
            eprintln!("lethe: {VARIABLE}={text}: there is no defence `{word}`");
            std::process::exit(3);
        };
        defence.switch_off();
    }
    eprintln!("lethe: THIS IS A TEST WITHOUT DEFENCE: {text} is off");
}
