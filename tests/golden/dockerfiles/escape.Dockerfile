# escape=`
FROM scratch
ENV ROOT=C:\models NAME="a `"quoted`" name"
COPY bin\tool `
     /tool
ADD weights.tar.gz /models/
CMD ["/tool"]
