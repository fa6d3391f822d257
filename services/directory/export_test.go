package directory

var CleanName = cleanName
