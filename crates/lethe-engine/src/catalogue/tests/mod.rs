mod ordered;
mod owners;
mod paging;
mod property;
mod support;
mod usage;
mod work;
