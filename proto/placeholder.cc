namespace bastion::proto {}
