/// Users, groups and logins: getent, id, last, who.
mod accounts;
/// Files and what they hold: stat, find, sha256sum, getfattr.
mod files;
/// Addresses, links, routes and neighbours: ip.
mod network;
/// Packages: dpkg-query.
mod packages;
/// Processes: ps.
mod processes;
/// Sockets: ss.
mod sockets;
/// The kernel and the hardware: findmnt, sysctl, lsmod, lsblk, free, uname, uptime, getconf, date.
mod system;
