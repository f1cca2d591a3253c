namespace bastion::daemon {}
