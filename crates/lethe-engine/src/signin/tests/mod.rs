mod external;
mod gate;
mod limiter;
mod passphrase;
mod permissions;
mod session;
mod support;
mod totp;
