package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// store writes to S3. gocloud's writer hands everything to a transfer manager that cannot be told to hash with SHA-256,
// leaves parts behind when a write is given up, and answers ErrExists to the writer who won, if the reply to that was
// lost on the way.
type store struct {
	client     *s3.Client
	bucket     string
	encryption types.ServerSideEncryption
	kmsKey     *string
}

const (
	// partSize is what is kept in memory and sent at a time. S3 takes no parts below 5 MiB, save the last.
	partSize = 8 << 20
	// maxParts is what S3 takes.
	maxParts = 10_000

	// attempts and maxBackoff bound what the SDK does about one request; the task is tried again after that.
	attempts   = 6
	maxBackoff = 3 * time.Second
	// cleanUp is how long may be spent on what a write that was given up left behind.
	cleanUp = 10 * time.Second

	// writeTag is the metadata by which a write knows its own blob.
	writeTag = "filigree-write"
)

func openS3(ctx context.Context, text string) (*Bucket, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	if u.Host == "" || u.User != nil || u.Path != "" {
		return nil, errors.New("it does not look like s3://bucket?region=…; credentials come from the environment or a profile")
	}
	opener := &s3blob.URLOpener{}
	parsed, err := opener.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, err
	}
	defer parsed.Close() // its client is all that is wanted
	var client *s3.Client
	if !parsed.As(&client) {
		return nil, errors.New("its client is of another kind")
	}
	client = s3.New(client.Options(), func(o *s3.Options) {
		o.Logger = logging.Nop{} // what it has to say is in its errors
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = attempts, maxBackoff
			// Somebody else is writing the key just now; whether they succeed has to be waited for.
			r.Retryables = append(r.Retryables, retry.RetryableErrorCode{Codes: map[string]struct{}{"ConditionalRequestConflict": {}, "OperationAborted": {}}})
		})
	})
	b, err := s3blob.OpenBucket(ctx, client, u.Host, &opener.Options)
	if err != nil {
		return nil, err
	}
	there, err := b.IsAccessible(ctx)
	if err == nil && !there {
		err = fmt.Errorf("there is no bucket %s there; make it, and keep it private", u.Host)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	s := &store{client: client, bucket: u.Host, encryption: opener.Options.EncryptionType}
	if opener.Options.KMSEncryptionID != "" {
		s.kmsKey = &opener.Options.KMSEncryptionID
	}
	return &Bucket{b: b, s3: s}, nil
}

// create writes all of r as key; ErrExists if it is there.
func (s *store) create(ctx context.Context, key, mediaType string, r io.Reader) error {
	part, err := readPart(r)
	if err != nil && err != io.EOF {
		return err
	}
	tag := rand.Text()
	if err == io.EOF {
		err = s.put(ctx, key, mediaType, tag, part)
	} else {
		err = s.upload(ctx, key, mediaType, tag, part, r)
	}
	if err == nil {
		return nil
	}
	return s.settle(ctx, key, tag, err)
}

// settle says how a write ended with err. The answer to a request that was sent twice is the answer to the second, which
// finds what the first wrote. And a store that refuses before it has read everything may hang up so early that its
// answer is lost: then what it would have said is whether the key is there.
func (s *store) settle(ctx context.Context, key, tag string, err error) error {
	var answer smithy.APIError
	answered := errors.As(err, &answer)
	if answered && answer.ErrorCode() != "PreconditionFailed" && answer.ErrorCode() != "NoSuchUpload" {
		return err
	}
	head, headErr := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	var missing *types.NotFound
	if !answered && errors.As(headErr, &missing) {
		return err
	}
	if headErr != nil {
		return errors.Join(err, headErr)
	}
	if head.Metadata[writeTag] == tag {
		return nil
	}
	return errors.Join(ErrExists, err)
}

// readPart reads up to partSize bytes; io.EOF if they are the last.
func readPart(r io.Reader) ([]byte, error) {
	var part bytes.Buffer
	_, err := io.CopyN(&part, r, partSize)
	return part.Bytes(), err
}

func checksum(data []byte) *string {
	sum := sha256.Sum256(data)
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}

// onlyNew is the condition that makes a write a create.
const onlyNew = "*"

func (s *store) put(ctx context.Context, key, mediaType, tag string, data []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, ContentType: contentType(mediaType), Metadata: map[string]string{writeTag: tag},
		IfNoneMatch: aws.String(onlyNew), ServerSideEncryption: s.encryption, SSEKMSKeyId: s.kmsKey,
		Body: bytes.NewReader(data), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: checksum(data),
	})
	return err
}

// upload writes what does not fit into one request: part after part, nothing of it to be seen before all is there.
func (s *store) upload(ctx context.Context, key, mediaType, tag string, part []byte, r io.Reader) error {
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, ContentType: contentType(mediaType), Metadata: map[string]string{writeTag: tag},
		ServerSideEncryption: s.encryption, SSEKMSKeyId: s.kmsKey, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		return err
	}
	err = s.uploadParts(ctx, key, begun.UploadId, part, r)
	if err != nil {
		// Whoever asked may have gone. What cannot be removed now is swept.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		_ = s.abort(ctx, &key, begun.UploadId)
	}
	return err
}

func (s *store) uploadParts(ctx context.Context, key string, id *string, part []byte, r io.Reader) error {
	var done []types.CompletedPart
	for last := false; len(part) > 0; {
		number := int32(len(done) + 1)
		if number > maxParts {
			return fmt.Errorf("it is larger than %d GiB", maxParts*partSize>>30)
		}
		sent, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.bucket, Key: &key, UploadId: id, PartNumber: &number,
			Body: bytes.NewReader(part), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: checksum(part),
		})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{PartNumber: &number, ETag: sent.ETag, ChecksumSHA256: checksum(part)})
		if last {
			break
		}
		part, err = readPart(r)
		last = err == io.EOF
		if err != nil && !last {
			return err
		}
	}
	_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, UploadId: id, IfNoneMatch: aws.String(onlyNew),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return err
}

func (s *store) abort(ctx context.Context, key, id *string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: key, UploadId: id})
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorCode() == "NoSuchUpload" {
		return nil
	}
	return err
}

func contentType(mediaType string) *string {
	if mediaType == "" {
		return nil
	}
	return &mediaType
}

// copyOptions makes gocloud's copy a create, too. The method of no store serves those that have none.
func (s *store) copyOptions() *blob.CopyOptions {
	if s == nil {
		return nil
	}
	return &blob.CopyOptions{BeforeCopy: func(as func(any) bool) error {
		var in *s3.CopyObjectInput
		if as(&in) {
			in.IfNoneMatch = aws.String(onlyNew)
		}
		return nil
	}}
}

// sweep removes the parts that a crash left of uploads begun before t.
func (s *store) sweep(ctx context.Context, t time.Time) (removed int, err error) {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return removed, fmt.Errorf("look for half-written blobs: %w", err)
		}
		for _, u := range page.Uploads {
			if u.Initiated == nil || !u.Initiated.Before(t) {
				continue
			}
			err = s.abort(ctx, u.Key, u.UploadId)
			if err != nil {
				return removed, fmt.Errorf("remove a half-written blob: %w", err)
			}
			removed++
		}
	}
	return removed, nil
}
