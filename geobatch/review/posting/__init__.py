"""One comment on a pull request, with the APIs of GitHub and GitLab."""
