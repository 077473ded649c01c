"""HTTP as the services need it: one total deadline, bounded answers, no redirect, no hidden retry."""
