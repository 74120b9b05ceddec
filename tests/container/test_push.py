"""build_and_push.sh to a real registry on this machine, which stands where ECR would."""
