namespace bastion::config {}
