//! The formats in which key shares are imported and exported. Pure.
