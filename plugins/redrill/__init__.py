"""redrill: redeploys Linux endpoints, restores only /home, /etc and /var, and judges what came back."""
