"""What everyone may know; imports no other package of ours."""
