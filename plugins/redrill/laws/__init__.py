"""What must hold of any drill, whatever the endpoint is: found out by drilling once more, and otherwise."""
